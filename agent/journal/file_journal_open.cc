// SPDX-License-Identifier: Apache-2.0
//
// What stands in the folder is found: segments, snapshots, a torn end.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "agent/journal/file_journal.h"
#include "agent/journal/journal_format.h"
#include "agent/journal/segment_reader.h"
#include "agent/journal/side_file.h"
#include "agent/journal/snapshot_file.h"
#include "common/base/clock.h"
#include "common/base/paths.h"
#include "common/base/planted_bug.h"

namespace brood {
namespace {

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
    if (name.ends_with(".new") && name != "epoch.new") ::unlink(entry->path().c_str());
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
    if (Status bad = journal->BeginEpoch(0)) return *std::move(bad);
  }
  if (Status bad = journal->Load()) return *std::move(bad);
  // Last: who dies before it finds the traces of the other boot again.
  if (other_boot) {
    if (Status bad = journal->BeginEpoch(journal->head_)) return *std::move(bad);
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

Status FileJournal::BeginEpoch(uint64_t after) {
  epoch_.epochs.BeginAfter(after);
  return WriteEpochFile(files(), directory_, epoch_);
}

// The newest snapshot that is whole is the one to begin with.
Status FileJournal::FindSnapshot(Status* damaged) {
  Result<std::vector<uint64_t>> snapshots = ListNumbered(directory_, kSnapshotSuffix);
  if (!snapshots) return std::move(snapshots).error();
  while (!snapshots->empty()) {
    Status bad = ReadSnapshotFile(directory_, id(), snapshots->back(), nullptr);
    if (bad && bad->code != ErrorCode::kDataLoss) return bad;
    if (!bad) break;
    notices_.push_back("the snapshot " + bad->message + "; an older one, or the first event, is " +
                       "begun with");
    *damaged = std::move(bad);
    snapshots->pop_back();
  }
  if (snapshots->empty()) return Ok();
  restored_cursor_ = snapshots->back();
  const MutexLock lock(&mutex_);
  snapshots_.assign(snapshots->begin(), snapshots->end());
  return Ok();
}

// Whether what is begun with and the events that are kept are all there was.
Status FileJournal::CheckBeginning(const Status& damaged) {
  if (head_ < restored_cursor_) {
    return Damage(directory_, "its last event is " + std::to_string(head_) +
                                  ", but a snapshot has events up to " +
                                  std::to_string(restored_cursor_));
  }
  if (oldest_ <= restored_cursor_ + 1) return Ok();
  const std::string gone = "the events before " + std::to_string(oldest_) + " are no longer kept, ";
  if (damaged) {
    Error error = *damaged;
    error.message += "; " + gone +
                     "and no snapshot that is whole has them: restore it from a copy, or remove "
                     "all .snapshot files and have guessed what jobs were that go on since";
    return error;
  }
  if (restored_cursor_ != 0) {
    return Damage(directory_, gone + "but the newest snapshot has those up to " +
                                  std::to_string(restored_cursor_) + " only");
  }
  notices_.push_back(gone +
                     "and there is no snapshot: of jobs that began before, only what later " +
                     "events tell is known");
  return Ok();
}

Status FileJournal::Load() {
  Result<std::vector<uint64_t>> cursors = ListSegments(directory_);
  if (!cursors) return std::move(cursors).error();
  Status damaged;
  if (Status bad = FindSnapshot(&damaged)) return bad;
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
    const bool last = i + 1 == cursors->size();
    // What a snapshot has need not be read now.
    const bool lazily = !last && (*cursors)[i + 1] <= restored_cursor_ + 1;
    if (Status bad = lazily ? LoadHeader(path, cursor, (*cursors)[i + 1])
                            : LoadSegment(path, cursor, last)) {
      return bad;
    }
  }
  return CheckBeginning(damaged);
}

Result<UniqueFd> FileJournal::OpenSegment(const std::string& path, uint64_t first_cursor,
                                          uint64_t* size) const {
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
  if (header.epoch > epoch()) {
    return Damage(path, "it is of epoch " + std::to_string(header.epoch) +
                            ", the file 'epoch' of " + std::to_string(epoch()));
  }
  *size = static_cast<uint64_t>(status.st_size);
  return fd;
}

Status FileJournal::LoadHeader(const std::string& path, uint64_t first_cursor,
                               uint64_t next_cursor) {
  Segment segment;
  segment.path = path;
  segment.first_cursor = first_cursor;
  Result<UniqueFd> fd = OpenSegment(path, first_cursor, &segment.end);
  if (!fd) return std::move(fd).error();
  head_ = next_cursor - 1;
  const MutexLock lock(&mutex_);
  segments_.push_back(std::move(segment));
  return Ok();
}

Status FileJournal::LoadSegment(const std::string& path, uint64_t first_cursor, bool last) {
  uint64_t size = 0;
  Result<UniqueFd> fd = OpenSegment(path, first_cursor, &size);
  if (!fd) return std::move(fd).error();
  Segment segment;
  segment.path = path;
  segment.first_cursor = first_cursor;
  SegmentReader reader(*std::move(fd), sizeof(SegmentHeader), first_cursor, size);
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
      // What a snapshot has was on the disk.
      if (*follows || reader.cursor() <= restored_cursor_)
        return Damage(path, more.error().message);
      if (Planted(Bug::kNoEpochAtCut)) break;
      // First the epoch: a cut that is not told of must not be.
      if (!other_boot_) {
        if (Status bad = BeginEpoch(reader.cursor() - 1)) return bad;
      }
      break;
    }
    if (!*more) break;
    Index(&segment, record.cursor, offset);
  }
  segment.end = reader.offset();
  head_ = reader.cursor() - 1;
  if (last) {
    Result<std::unique_ptr<SegmentWriter>> writer =
        SegmentWriter::Reopen(files(), path, segment.end, size, options_.segment_bytes);
    if (!writer) return std::move(writer).error();
    writer_ = *std::move(writer);
  }
  const MutexLock lock(&mutex_);
  if (last) {
    // What of it is on the disk the agent before knew.
    active_ = writer_->file();
    synced_cursor_ = first_cursor - 1;
    synced_end_ = sizeof(SegmentHeader);
  }
  segments_.push_back(std::move(segment));
  return Ok();
}

}  // namespace brood
