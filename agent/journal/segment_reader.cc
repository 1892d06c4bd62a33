// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/segment_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace brood {
namespace {

// Some hundreds of events a system call; small beside the journal's memory tail.
constexpr size_t kReadBytes = 128 << 10;

}  // namespace

SegmentReader::SegmentReader(UniqueFd fd, uint64_t offset, uint64_t cursor, uint64_t end)
    : fd_(std::move(fd)), offset_(offset), cursor_(cursor), end_(end), buffer_offset_(offset) {}

Status SegmentReader::Fill(size_t size) {
  if (available() >= size) return Ok();
  const size_t kept = available();
  const size_t wanted = std::max(size, kReadBytes);
  if (kept > 0) std::memmove(buffer_.data(), here(), kept);
  if (buffer_.size() < wanted) buffer_.resize(wanted);
  buffer_offset_ = offset_;
  buffer_used_ = kept;
  while (buffer_used_ < size) {
    const uint64_t from = buffer_offset_ + buffer_used_;
    if (from >= end_) return Ok();
    const size_t room =
        static_cast<size_t>(std::min<uint64_t>(buffer_.size() - buffer_used_, end_ - from));
    const ssize_t got =
        ::pread(fd_.get(), buffer_.data() + buffer_used_, room, static_cast<off_t>(from));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read the journal");
    if (got == 0) return Ok();
    buffer_used_ += static_cast<size_t>(got);
  }
  return Ok();
}

Result<bool> SegmentReader::Next(RecordView* record) {
  if (offset_ >= end_) return false;
  if (Status bad = Fill(sizeof(RecordHeader))) return *std::move(bad);
  RecordHeader header{};
  if (available() >= sizeof(header)) {
    std::memcpy(&header, here(), sizeof(header));
    if (header.length <= kRecordLengthMin + kJournalPayloadBytesMax) {
      if (Status bad = Fill(offsetof(RecordHeader, cursor) + header.length)) return *std::move(bad);
    }
  }
  if (!DecodeRecord(here(), available(), &header) || header.cursor != cursor_) {
    Error error;
    error.code = ErrorCode::kDataLoss;
    error.reason = "JOURNAL_DAMAGED";
    error.message = "no whole record with cursor " + std::to_string(cursor_) +
                    " stands at offset " + std::to_string(offset_);
    return error;
  }
  const size_t payload = header.length - kRecordLengthMin;
  *record = {header.cursor, header.job_key, {here() + sizeof(RecordHeader), payload}};
  offset_ += RecordBytes(payload);
  ++cursor_;
  return true;
}

Result<bool> SegmentReader::RecordFollows() {
  const uint64_t start = offset_;
  const size_t left = static_cast<size_t>(end_ - start);
  // Every record takes a header's bytes at least, so no greater cursor can be here.
  const uint64_t last = cursor_ + left / sizeof(RecordHeader) + 1;
  // The rest of one segment, once, after a crash.
  if (Status bad = Fill(left)) return *std::move(bad);
  const char* bytes = here();
  const size_t size = available();
  for (size_t i = 1; i + sizeof(RecordHeader) <= size; ++i) {
    uint64_t cursor = 0;
    std::memcpy(&cursor, bytes + i + offsetof(RecordHeader, cursor), sizeof(cursor));
    if (cursor < cursor_ || cursor > last) continue;
    RecordHeader header;
    if (DecodeRecord(bytes + i, size - i, &header)) return true;
  }
  return false;
}

}  // namespace brood
