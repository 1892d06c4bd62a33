// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "agent/sdk/task.h"

namespace brood {

// Large blocks of this process's own memory, by name: zeros at first, copied by
// forks as all memory is, never given back. Not thread-safe.
class Blocks {
 public:
  // The block of that name; null if there is none, or it has another size or other flags.
  void* Find(const std::string& name, size_t bytes, uint32_t flags) const;

  // A new one. BROOD_TOO_LARGE for no bytes, for more than kBlockBytesMax in all, and beyond
  // kBlocksMax; BROOD_FAILED with errno if the kernel refuses.
  int Make(const std::string& name, size_t bytes, uint32_t flags, void** address);

 private:
  struct Block {
    void* address = nullptr;
    size_t bytes = 0;
    uint32_t flags = 0;
  };
  std::map<std::string, Block> blocks_;
  size_t bytes_ = 0;  // of all
};

}  // namespace brood
