// SPDX-License-Identifier: Apache-2.0
//
// How a cell stands in the memory of a parent and of its forks. The same struct
// at the same address in each of them, so that whoever may read their memory
// (process_vm_readv) can compare the copies without asking the code that runs
// in them. Written by the parent's cell store, read by the agent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace brood {

inline constexpr uint32_t kCellMagic = 0x4c4c4543;  // "CELL"

struct CellImage {
  uint32_t magic = kCellMagic;
  // ValueKind of what it holds; kUnset: nobody has written it.
  uint32_t value_kind = 0;
  // Odd while the cell is being changed; grows by two with each change. A reader takes what it
  // read only if this was even and the same before and after, each time read by itself: a copy
  // of the whole image may take its parts in any order.
  uint64_t sequence = 0;
  // Writes so far, in this copy and in what it was copied from.
  uint64_t version = 0;
  // Job key of who wrote last; 0: none.
  uint64_t writer = 0;
  // BOOL, INT: the value. FLOAT: its bits. The address of a scalar cell is that of this field.
  int64_t scalar = 0;
  // TEXT, BYTES, JSON: where the bytes are, and how many. Of a block, which is BYTES, its first
  // ones.
  uint64_t data = 0;
  uint64_t size = 0;
  uint64_t reserved = 0;
};
static_assert(sizeof(CellImage) == 64);
static_assert(std::is_trivially_copyable_v<CellImage>);

}  // namespace brood
