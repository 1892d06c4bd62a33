// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/file_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/journal/journal_format.h"
#include "agent/journal/segment_reader.h"

namespace brood {
namespace {

// A reader skips at most so many bytes to its place.
constexpr uint64_t kIndexBytes = 64 << 10;

}  // namespace

Error FileJournal::Damage(const std::string& path, const std::string& what) {
  Error error;
  error.code = ErrorCode::kDataLoss;
  error.reason = "JOURNAL_DAMAGED";
  error.message = "the journal's segment '" + path + "' is damaged: " + what +
                  "; restore it from a copy, or move the folder away and lose its events";
  return error;
}

void FileJournal::Index(Segment* segment, uint64_t cursor, uint64_t offset) {
  if (segment->index.empty() || offset - segment->index.back().second >= kIndexBytes) {
    segment->index.emplace_back(cursor, offset);
  }
}

Status FileJournal::BeginSegment() {
  // A segment that is not the last one must be whole, also after a loss of power.
  if (writer_ != nullptr) {
    if (Status bad = writer_->Cut()) return bad;
    if (Result<uint64_t> synced = Sync(); !synced) return std::move(synced).error();
  }
  const uint64_t first_cursor = head() + 1;
  Result<std::unique_ptr<SegmentWriter>> writer = SegmentWriter::Create(
      files(), directory_, MakeSegmentHeader(id(), epoch(), epoch_.boot_id, first_cursor),
      options_.segment_bytes, !no_spare_);
  if (!writer) {
    no_spare_ = writer.error();
    return std::move(writer).error();
  }
  writer_ = *std::move(writer);
  Segment segment;
  segment.path = directory_ + "/" + SegmentName(first_cursor);
  segment.first_cursor = first_cursor;
  segment.end = writer_->end();
  {
    const MutexLock lock(&mutex_);
    active_ = writer_->file();
    synced_end_ = segment.end;
    segments_.push_back(std::move(segment));
  }
  // Its room may be what the spare needs.
  Retain();
  no_spare_ = SegmentWriter::MakeSpare(files(), directory_, options_.segment_bytes);
  return Ok();
}

Status FileJournal::Append(const std::vector<JournalRecord>& records) {
  if (records.empty()) return Ok();
  uint64_t cursor = head();
  size_t bytes = 0;
  sizes_.clear();
  for (const JournalRecord& record : records) {
    if (record.cursor != ++cursor || record.payload.size() > kJournalPayloadBytesMax) {
      Error error;
      error.code = ErrorCode::kInvalidArgument;
      error.reason = "INVALID_RECORD";
      error.message = "a journal record has cursor " + std::to_string(record.cursor) + " and " +
                      std::to_string(record.payload.size()) + " bytes; the cursor must be " +
                      std::to_string(cursor) + " and the bytes at most 1048576";
      return error;
    }
    sizes_.push_back(RecordBytes(record.payload.size()));
    bytes += sizes_.back();
  }
  // A segment takes at least one batch, however large.
  if (writer_ == nullptr ||
      (writer_->end() > sizeof(SegmentHeader) && writer_->end() + bytes > options_.segment_bytes)) {
    if (Status bad = BeginSegment()) return bad;
  }
  const uint64_t start = writer_->end();
  char* const room = tail_.Reserve(bytes);
  char* at = room;
  for (const JournalRecord& record : records) {
    EncodeRecord(record.cursor, record.job_key, record.payload, at);
    at += RecordBytes(record.payload.size());
  }
  if (Status bad = writer_->Append(room, bytes)) return bad;

  const MutexLock lock(&mutex_);
  const uint64_t first = records.front().cursor;
  tail_.Commit(first, sizes_);
  Segment& segment = segments_.back();
  uint64_t offset = start;
  for (size_t i = 0; i < sizes_.size(); ++i) {
    Index(&segment, first + i, offset);
    offset += sizes_[i];
  }
  segment.end = writer_->end();
  head_.store(cursor, std::memory_order_release);
  return Ok();
}

bool FileJournal::FindOnDisk(uint64_t cursor, Place* place) const {
  const auto after = std::upper_bound(
      segments_.begin(), segments_.end(), cursor,
      [](uint64_t wanted, const Segment& segment) { return wanted < segment.first_cursor; });
  if (after == segments_.begin()) return false;
  const Segment& segment = *std::prev(after);
  if (segment.index.empty() && after != segments_.end()) {
    *place = {segment.path, segment.first_cursor, sizeof(SegmentHeader), segment.end,
              after->first_cursor - 1};
    return true;
  }
  const auto entry =
      std::upper_bound(segment.index.begin(), segment.index.end(), cursor,
                       [](uint64_t wanted, const auto& indexed) { return wanted < indexed.first; });
  if (entry == segment.index.begin()) return false;
  *place = {segment.path, std::prev(entry)->first, std::prev(entry)->second, segment.end, 0};
  return true;
}

bool FileJournal::ReadFromMemory(const MemoryTail::View& view, uint64_t last, const Sink& sink,
                                 uint64_t* next) {
  const char* bytes = view.block->bytes.get();
  for (size_t at = view.from; at < view.to && *next <= last;) {
    RecordHeader header;
    std::memcpy(&header, bytes + at, sizeof(header));
    const size_t payload = header.length - kRecordLengthMin;
    ++*next;
    if (!sink(header.cursor, header.job_key, {bytes + at + sizeof(header), payload})) return false;
    at += RecordBytes(payload);
  }
  return true;
}

Result<bool> FileJournal::ReadFromDisk(const Place& place, uint64_t last, const Sink& sink,
                                       uint64_t* next) {
  UniqueFd fd(::open(place.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, "open '" + place.path + "'");
  SegmentReader reader(std::move(fd), place.offset, place.cursor, place.end);
  RecordView record;
  while (*next <= last) {
    Result<bool> more = reader.Next(&record);
    if (!more && more.error().code == ErrorCode::kDataLoss) {
      return Damage(place.path, more.error().message);
    }
    if (!more) return std::move(more).error();
    if (!*more) return true;
    if (record.cursor < *next) continue;
    ++*next;
    if (!sink(record.cursor, record.job_key, record.payload)) return false;
  }
  return true;
}

Status FileJournal::Read(uint64_t after, const Sink& sink) const {
  // As it is now: a reader that is slower than the appender comes to an end all the same.
  const uint64_t last = head();
  if (after > last) {
    Error error;
    error.code = ErrorCode::kOutOfRange;
    error.reason = "PAST_HEAD";
    error.message = "cursor " + std::to_string(after) + " is past the journal's head " +
                    std::to_string(last) + "; begin at its head or before";
    return error;
  }
  uint64_t next = after + 1;
  while (next <= last) {
    MemoryTail::View view;
    Place place;
    bool in_memory = false;
    {
      const MutexLock lock(&mutex_);
      next = std::max(next, oldest());
      if (next > last) return Ok();
      in_memory = tail_.Find(next, &view);
      if (!in_memory && !FindOnDisk(next, &place)) {
        return Damage(directory_, "cursor " + std::to_string(next) + " is nowhere");
      }
    }
    if (in_memory) {
      if (!ReadFromMemory(view, last, sink, &next)) return Ok();
      continue;
    }
    if (place.last_cursor != 0) {
      Status bad = IndexWhole(place);
      if (bad && bad->code == ErrorCode::kNotFound && oldest() > next) continue;
      if (bad) return bad;
      continue;
    }
    const uint64_t before = next;
    Result<bool> more = ReadFromDisk(place, last, sink, &next);
    if (!more) {
      // Dropped between the look and the opening: go on with what is kept.
      if (more.error().code == ErrorCode::kNotFound && oldest() > before) continue;
      return std::move(more).error();
    }
    if (!*more) return Ok();
    if (next == before) return Damage(place.path, "it ends before cursor " + std::to_string(next));
  }
  return Ok();
}

}  // namespace brood
