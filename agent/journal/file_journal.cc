// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/file_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "agent/journal/journal_format.h"
#include "agent/journal/segment_reader.h"
#include "common/base/clock.h"
#include "common/base/paths.h"

namespace brood {
namespace {

// A reader skips at most so many bytes to its place.
constexpr uint64_t kIndexBytes = 64 << 10;

Error Damage(const std::string& path, const std::string& what) {
  Error error;
  error.code = ErrorCode::kDataLoss;
  error.reason = "JOURNAL_DAMAGED";
  error.message = "the journal's segment '" + path + "' is damaged: " + what +
                  "; restore it from a copy, or move the folder away and lose its events";
  return error;
}

Result<UniqueFd> Lock(const std::string& directory) {
  const std::string path = directory + "/lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  Error error = ErrnoError(errno, "lock '" + path + "'");
  if (errno == EWOULDBLOCK) {
    error.code = ErrorCode::kFailedPrecondition;
    error.reason = "JOURNAL_IN_USE";
    error.message = "the journal '" + directory +
                    "' is in use by another process; stop that agent, or give this one another "
                    "BROOD_STATE_DIR";
  }
  return error;
}

// Cursors in the names of the segments there are, sorted; what an interrupted creation left is
// removed.
Result<std::vector<uint64_t>> ListSegments(const std::string& directory) {
  std::vector<uint64_t> cursors;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(directory, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.ends_with(".log.new")) ::unlink(entry->path().c_str());
    if (const uint64_t cursor = FirstCursorOfName(name); cursor != 0) cursors.push_back(cursor);
  }
  if (error) return ErrnoError(error.value(), "list '" + directory + "'");
  std::sort(cursors.begin(), cursors.end());
  return cursors;
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::Open(const std::string& directory, Options options) {
  return FileJournal::Open(directory, options, ReadBootId());
}

Result<std::unique_ptr<Journal>> FileJournal::Open(const std::string& directory, Options options,
                                                   const std::string& boot_id) {
  if (Status bad = MakePrivateDirectory(directory)) return *std::move(bad);
  Result<UniqueFd> lock = Lock(directory);
  if (!lock) return std::move(lock).error();
  Result<EpochFile> epoch = ReadEpochFile(directory);
  if (!epoch && epoch.error().code != ErrorCode::kNotFound) return std::move(epoch).error();
  const bool is_new = !epoch.ok();
  const bool other_boot = !is_new && epoch->boot_id != boot_id;
  EpochFile file;
  if (epoch) {
    file = *std::move(epoch);
  } else {
    // The file comes before the first segment, so segments without it are not a new journal.
    Result<std::vector<uint64_t>> segments = ListSegments(directory);
    if (!segments) return std::move(segments).error();
    if (!segments->empty()) {
      return Damage(directory + "/" + SegmentName(segments->front()), "the file 'epoch' is gone");
    }
    Result<std::string> id = MakeJournalId();
    if (!id) return std::move(id).error();
    file.journal_id = *std::move(id);
  }
  file.boot_id = boot_id;
  std::unique_ptr<FileJournal> journal(
      new FileJournal(directory, options, *std::move(lock), std::move(file)));
  journal->other_boot_ = other_boot;
  if (is_new) {
    if (Status bad = journal->BeginEpoch()) return *std::move(bad);
  }
  if (Status bad = journal->Load()) return *std::move(bad);
  // Last: who dies before it finds the traces of the other boot again.
  if (other_boot) {
    if (Status bad = journal->BeginEpoch()) return *std::move(bad);
  }
  journal->no_spare_ = SegmentWriter::MakeSpare(journal->files(), directory, options.segment_bytes);
  return std::unique_ptr<Journal>(std::move(journal));
}

FileJournal::FileJournal(std::string directory, Options options, UniqueFd lock, EpochFile epoch)
    : directory_(std::move(directory)),
      options_(options),
      lock_(std::move(lock)),
      epoch_(std::move(epoch)),
      tail_(options.tail_bytes) {}

Status FileJournal::BeginEpoch() {
  ++epoch_.epoch;
  return WriteEpochFile(files(), directory_, epoch_);
}

Status FileJournal::Load() {
  Result<std::vector<uint64_t>> cursors = ListSegments(directory_);
  if (!cursors) return std::move(cursors).error();
  if (!cursors->empty()) {
    head_ = cursors->front() - 1;
    oldest_ = cursors->front();
  }
  for (size_t i = 0; i < cursors->size(); ++i) {
    const uint64_t cursor = (*cursors)[i];
    const std::string path = directory_ + "/" + SegmentName(cursor);
    if (cursor != head_ + 1) {
      return Damage(path, "it begins at cursor " + std::to_string(cursor) +
                              ", but the one before ends at " + std::to_string(head_));
    }
    if (Status bad = LoadSegment(path, cursor, i + 1 == cursors->size())) return bad;
  }
  return Ok();
}

Status FileJournal::LoadSegment(const std::string& path, uint64_t first_cursor, bool last) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return ErrnoError(errno, "open '" + path + "'");
  SegmentHeader header;
  if (::pread(fd.get(), &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) {
    return Damage(path, "it is shorter than its header");
  }
  if (Status bad = CheckSegmentHeader(header, id())) return Damage(path, bad->message);
  if (header.first_cursor != first_cursor) {
    return Damage(path, "its name and its header state different cursors");
  }
  Segment segment;
  segment.path = path;
  segment.first_cursor = first_cursor;
  SegmentReader reader(std::move(fd), sizeof(header), first_cursor,
                       static_cast<uint64_t>(status.st_size));
  RecordView record;
  for (;;) {
    const uint64_t offset = reader.offset();
    Result<bool> more = reader.Next(&record);
    if (!more && more.error().code != ErrorCode::kDataLoss) return std::move(more).error();
    if (!more) {
      // A process that died within a write leaves a part of one batch at the very end, and nothing
      // else. A loss of power may leave holes, but only in what was not synced.
      const bool hole = other_boot_ && reader.cursor() > ReadSyncedMark();
      Result<bool> follows = last ? (hole ? Result<bool>(false) : reader.RecordFollows()) : true;
      if (!follows) return std::move(follows).error();
      if (*follows) return Damage(path, more.error().message);
      // First the epoch: a cut that is not told of must not be.
      if (!other_boot_) {
        if (Status bad = BeginEpoch()) return bad;
      }
      break;
    }
    if (!*more) break;
    Index(&segment, record.cursor, offset);
  }
  segment.end = reader.offset();
  head_ = reader.cursor() - 1;
  if (last) {
    Result<std::unique_ptr<SegmentWriter>> writer = SegmentWriter::Reopen(
        files(), path, segment.end, static_cast<uint64_t>(status.st_size), options_.segment_bytes);
    if (!writer) return std::move(writer).error();
    writer_ = *std::move(writer);
  }
  const MutexLock lock(&mutex_);
  if (last) {
    // What of it is on the disk the agent before knew.
    active_ = writer_->file();
    synced_cursor_ = first_cursor - 1;
    synced_end_ = sizeof(header);
  }
  segments_.push_back(std::move(segment));
  return Ok();
}

void FileJournal::Index(Segment* segment, uint64_t cursor, uint64_t offset) {
  if (segment->index.empty() || offset - segment->index.back().second >= kIndexBytes) {
    segment->index.emplace_back(cursor, offset);
  }
}

Status FileJournal::BeginSegment() {
  // A segment that is not the last one must be whole, also after a loss of power.
  if (writer_ != nullptr) {
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
  DropOldSegments();
  no_spare_ = SegmentWriter::MakeSpare(files(), directory_, options_.segment_bytes);
  return Ok();
}

void FileJournal::DropOldSegments() {
  std::vector<std::string> dropped;
  {
    const MutexLock lock(&mutex_);
    uint64_t total = 0;
    for (const Segment& segment : segments_) total += segment.end;
    while (total > options_.retained_bytes && segments_.size() > 1) {
      total -= segments_.front().end;
      dropped.push_back(segments_.front().path);
      segments_.pop_front();
      oldest_ = segments_.front().first_cursor;
    }
  }
  // Off the list first: a reader that finds no file looks again.
  for (const std::string& path : dropped) ::unlink(path.c_str());
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
  const auto entry =
      std::upper_bound(segment.index.begin(), segment.index.end(), cursor,
                       [](uint64_t wanted, const auto& indexed) { return wanted < indexed.first; });
  if (entry == segment.index.begin()) return false;
  *place = {segment.path, std::prev(entry)->first, std::prev(entry)->second, segment.end};
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
