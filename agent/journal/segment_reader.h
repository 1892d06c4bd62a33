// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "agent/journal/journal_format.h"
#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

struct RecordView {
  uint64_t cursor = 0;
  uint64_t job_key = 0;
  std::string_view payload;
};

// Reads the records of one segment in order, by large preads, and checks each.
class SegmentReader {
 public:
  // From the record at `offset`, whose cursor must be `cursor`, to the offset `end`.
  SegmentReader(UniqueFd fd, uint64_t offset, uint64_t cursor, uint64_t end);

  // The next record, valid until the next call; false at the end. DATA_LOSS if there are bytes but
  // no whole record with the cursor that must come: offset() is where.
  Result<bool> Next(RecordView* record);

  // Where the next record begins, and the cursor that it must have.
  uint64_t offset() const { return offset_; }
  uint64_t cursor() const { return cursor_; }

  // True if a whole record with a greater cursor stands anywhere behind offset(): then what is at
  // offset() is no torn tail but damage.
  Result<bool> RecordFollows();

 private:
  // Makes the bytes [offset_, offset_ + size) readable, as far as the segment goes.
  Status Fill(size_t size);
  const char* here() const { return buffer_.data() + (offset_ - buffer_offset_); }
  size_t available() const { return buffer_used_ - static_cast<size_t>(offset_ - buffer_offset_); }

  UniqueFd fd_;
  uint64_t offset_;
  uint64_t cursor_;
  uint64_t end_;
  std::vector<char> buffer_;
  uint64_t buffer_offset_;
  size_t buffer_used_ = 0;
};

}  // namespace brood
