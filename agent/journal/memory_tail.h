// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace brood {

// The newest records of the journal, as they stand on disk, for live readers. Records lie in blocks
// that never move: a reader keeps a block alive and reads what was committed, while the appender
// writes behind it.
//
// The appender calls Reserve and fills the room outside any lock; Commit and Find are to be called
// under the journal's lock.
class MemoryTail {
 public:
  struct Block {
    explicit Block(size_t size) : bytes(new char[size]), capacity(size) {}
    std::unique_ptr<char[]> bytes;
    size_t capacity;
    size_t used = 0;  // committed
    uint64_t first_cursor = 0;
    std::vector<uint32_t> offsets;  // of each record, from first_cursor on
  };
  // Whole records of one block.
  struct View {
    std::shared_ptr<const Block> block;
    size_t from = 0;
    size_t to = 0;
  };

  // Keeps about so many bytes, in blocks of a size that fits.
  explicit MemoryTail(size_t bytes_max);

  // Room for the next batch; what was reserved and not committed is given again.
  char* Reserve(size_t bytes);
  // The reserved batch is on disk: `sizes` are its records' in order, the first one has
  // `first_cursor`.
  void Commit(uint64_t first_cursor, const std::vector<size_t>& sizes);
  // The records from `cursor` on in its block; false if it is not here.
  bool Find(uint64_t cursor, View* view) const;

 private:
  size_t bytes_max_;
  size_t block_bytes_;
  size_t held_bytes_ = 0;
  std::shared_ptr<Block> reserved_;  // the block of the last Reserve
  std::deque<std::shared_ptr<Block>> blocks_;
};

}  // namespace brood
