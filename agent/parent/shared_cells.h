// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "agent/parent/cell.h"
#include "common/base/error.h"

namespace brood {

// The cells that a parent has in common with its forks: one mapping, made before
// the first fork, of kSharedCellsMax places, each of which takes memory only once it
// is used. Whoever makes a cell here, parent or fork, all have it. Thread-safe, and
// safe between the processes; cells are never removed.
class SharedCells {
 public:
  static Result<std::unique_ptr<SharedCells>> Create();
  ~SharedCells();
  SharedCells(const SharedCells&) = delete;
  SharedCells& operator=(const SharedCells&) = delete;

  // How many there are; those below it are whole.
  size_t count() const;
  SharedCell* at(size_t index) const;
  // The one of that name, made if it is not there; null if all places are taken.
  SharedCell* FindOrMake(std::string_view name);

 private:
  struct Arena;
  explicit SharedCells(Arena* arena) : arena_(arena) {}
  Arena* const arena_;
};

}  // namespace brood
