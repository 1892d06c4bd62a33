// SPDX-License-Identifier: Apache-2.0
//
// What is kept of the past: snapshots, segments, and where to look in those that were passed over
// at the opening.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "agent/journal/file_journal.h"
#include "agent/journal/journal_format.h"
#include "agent/journal/segment_reader.h"
#include "agent/journal/side_file.h"
#include "agent/journal/snapshot_file.h"
#include "common/base/planted_bug.h"

namespace brood {
namespace {

// The second one is for the day on which the newest is found damaged.
constexpr size_t kSnapshotsKept = 2;

constexpr int64_t kNanosPerSecond = 1'000'000'000;

// Since it was last written to; 0 if that cannot be known. By the wall clock: it is about days.
int64_t AgeOf(const std::string& path) {
  struct stat status {};
  timespec now{};
  if (::stat(path.c_str(), &status) != 0 || ::clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
  return (now.tv_sec - status.st_mtim.tv_sec) * kNanosPerSecond +
         (now.tv_nsec - status.st_mtim.tv_nsec);
}

}  // namespace

Status FileJournal::WriteSnapshot(uint64_t cursor, const std::vector<std::string>& parts) {
  if (cursor > head()) {
    return Error{ErrorCode::kInvalidArgument, "INVALID_RECORD",
                 "a snapshot at cursor " + std::to_string(cursor) + " is past the journal's head",
                 ""};
  }
  {
    // Nothing has happened since.
    const MutexLock lock(&mutex_);
    if (cursor == 0 || (!snapshots_.empty() && snapshots_.back() == cursor)) return Ok();
  }
  // It replaces the events before it, and must not know more than the journal has.
  if (Result<uint64_t> synced = Sync(); !synced) return std::move(synced).error();
  if (Status bad = WriteSnapshotFile(files(), directory_, id(), epoch(), cursor, parts)) return bad;
  {
    const MutexLock lock(&mutex_);
    snapshots_.push_back(cursor);
    while (snapshots_.size() > kSnapshotsKept) snapshots_.pop_front();
  }
  Retain();
  return Ok();
}

Status FileJournal::ReadSnapshot(const std::function<void(std::string_view part)>& sink) const {
  if (restored_cursor_ == 0) return Ok();
  return ReadSnapshotFile(directory_, id(), restored_cursor_, sink);
}

void FileJournal::Retain() {
  std::vector<std::string> dropped;
  std::deque<uint64_t> snapshots;
  {
    const MutexLock lock(&mutex_);
    const uint64_t needless = snapshots_.size() < kSnapshotsKept ? 0 : snapshots_.front();
    uint64_t total = 0;
    for (const Segment& segment : segments_) total += segment.end;
    while (segments_.size() > 1 && segments_[1].first_cursor <= needless + 1) {
      const Segment& oldest = segments_.front();
      const bool old = options_.retained_ns > 0 && AgeOf(oldest.path) > options_.retained_ns;
      if (total <= options_.retained_bytes && !old) break;
      total -= oldest.end;
      dropped.push_back(oldest.path);
      segments_.pop_front();
      oldest_ = segments_.front().first_cursor + (Planted(Bug::kRetentionOffByOne) ? 1 : 0);
    }
    snapshots = snapshots_;
  }
  if (snapshots.size() >= kSnapshotsKept) {
    Result<std::vector<uint64_t>> all = ListNumbered(directory_, kSnapshotSuffix);
    for (const uint64_t cursor : all ? *all : std::vector<uint64_t>()) {
      // Damaged ones too, once there are two that are not. A newer one is being written.
      const bool kept = cursor == snapshots.front() || cursor >= snapshots.back();
      if (!kept) dropped.push_back(directory_ + "/" + NumberedName(cursor, kSnapshotSuffix));
    }
  }
  // Off the list first: a reader that finds no file looks again.
  for (const std::string& path : dropped) ::unlink(path.c_str());
}

// Reads a segment that was passed over at the opening: from here on it is known to be whole.
Status FileJournal::IndexWhole(const Place& place) const {
  uint64_t size = 0;
  Result<UniqueFd> fd = OpenSegment(place.path, place.cursor, &size);
  if (!fd) return std::move(fd).error();
  SegmentReader reader(*std::move(fd), place.offset, place.cursor, size);
  Segment read;
  RecordView record;
  for (;;) {
    const uint64_t offset = reader.offset();
    Result<bool> more = reader.Next(&record);
    if (!more && more.error().code != ErrorCode::kDataLoss) return std::move(more).error();
    if (!more) return Damage(place.path, more.error().message);
    if (!*more) break;
    Index(&read, record.cursor, offset);
  }
  if (reader.cursor() != place.last_cursor + 1) {
    return Damage(place.path, "it ends at offset " + std::to_string(reader.offset()) +
                                  " before cursor " + std::to_string(reader.cursor()) +
                                  ", and the next segment begins behind");
  }
  const MutexLock lock(&mutex_);
  for (Segment& segment : segments_) {
    if (segment.first_cursor == place.cursor) segment.index = std::move(read.index);
  }
  return Ok();
}

}  // namespace brood
