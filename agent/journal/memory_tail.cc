// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/memory_tail.h"

#include <algorithm>

namespace brood {
namespace {

// A block is the unit that is dropped: small beside the tail, large beside a batch.
constexpr size_t kBlockBytesMax = 256 << 10;
constexpr size_t kBlockBytesMin = 4 << 10;

}  // namespace

MemoryTail::MemoryTail(size_t bytes_max)
    : bytes_max_(bytes_max),
      block_bytes_(std::clamp(bytes_max / 8, kBlockBytesMin, kBlockBytesMax)) {}

char* MemoryTail::Reserve(size_t bytes) {
  // `used` of the newest block is written by the appender only, so it may be read here.
  if (reserved_ == nullptr || reserved_->capacity - reserved_->used < bytes) {
    reserved_ = std::make_shared<Block>(std::max(bytes, block_bytes_));
  }
  return reserved_->bytes.get() + reserved_->used;
}

void MemoryTail::Commit(uint64_t first_cursor, const std::vector<size_t>& sizes) {
  if (blocks_.empty() || blocks_.back() != reserved_) {
    reserved_->first_cursor = first_cursor;
    held_bytes_ += reserved_->capacity;
    blocks_.push_back(reserved_);
  }
  for (const size_t size : sizes) {
    reserved_->offsets.push_back(static_cast<uint32_t>(reserved_->used));
    reserved_->used += size;
  }
  while (held_bytes_ > bytes_max_ && blocks_.size() > 1) {
    held_bytes_ -= blocks_.front()->capacity;
    blocks_.pop_front();
  }
}

bool MemoryTail::Find(uint64_t cursor, View* view) const {
  const auto after = std::upper_bound(
      blocks_.begin(), blocks_.end(), cursor,
      [](uint64_t wanted, const auto& block) { return wanted < block->first_cursor; });
  if (after == blocks_.begin()) return false;
  const std::shared_ptr<Block>& block = *std::prev(after);
  const uint64_t index = cursor - block->first_cursor;
  if (index >= block->offsets.size()) return false;
  *view = {block, block->offsets[index], block->used};
  return true;
}

}  // namespace brood
