// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/journal/journal_format.h"
#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// The segment that is written to. One thread.
class SegmentWriter {
 public:
  // Makes the segment, with its space reserved; it appears under its name with a whole header or
  // not at all. RESOURCE_EXHAUSTED if the disk has no room for it.
  static Result<std::unique_ptr<SegmentWriter>> Create(const std::string& directory,
                                                       const SegmentHeader& header, size_t bytes);
  // Goes on with one that ends at `end`; what stands behind is cut off.
  static Result<std::unique_ptr<SegmentWriter>> Reopen(const std::string& path, uint64_t end);

  // Writes whole records at the end, in one system call where the kernel takes them so.
  // RESOURCE_EXHAUSTED if the disk is full; then nothing of them is left.
  Status Append(const char* bytes, size_t size);

  uint64_t end() const { return end_; }

 private:
  SegmentWriter(UniqueFd fd, std::string path, uint64_t end);
  Status CutToEnd();

  UniqueFd fd_;
  std::string path_;
  uint64_t end_;
  bool ragged_ = false;  // bytes may stand behind end_
};

}  // namespace brood
