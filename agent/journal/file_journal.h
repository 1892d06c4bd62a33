// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/journal/epoch_file.h"
#include "agent/journal/journal.h"
#include "agent/journal/journal_files.h"
#include "agent/journal/memory_tail.h"
#include "agent/journal/segment_writer.h"
#include "common/base/mutex.h"
#include "common/base/unique_fd.h"

namespace brood {

// The journal on disk. The appender encodes and writes without a lock; what it has written becomes
// visible to readers under one short lock. Readers hold it only to find where to read.
class FileJournal final : public Journal {
 public:
  // As Journal::Open; with another `boot_id` than last time a new epoch begins.
  static Result<std::unique_ptr<Journal>> Open(const std::string& directory, Options options,
                                               const std::string& boot_id);

  Status Append(const std::vector<JournalRecord>& records) override;
  Result<uint64_t> Sync() override;
  uint64_t unsynced_bytes() const override;
  Status Trouble() const override;
  Status CheckRoom() override;
  Status Recover() override;
  Status Read(uint64_t after, const Sink& sink) const override;
  uint64_t head() const override { return head_.load(std::memory_order_acquire); }
  uint64_t oldest() const override { return oldest_.load(std::memory_order_acquire); }
  const std::string& id() const override { return epoch_.journal_id; }
  uint64_t epoch() const override { return epoch_.epochs.present(); }
  uint64_t KeptOf(uint64_t epoch) const override { return epoch_.epochs.KeptOf(epoch, head()); }
  Status WriteSnapshot(uint64_t cursor, const std::vector<std::string>& parts) override;
  uint64_t restored_cursor() const override { return restored_cursor_; }
  Status ReadSnapshot(const std::function<void(std::string_view part)>& sink) const override;
  const std::vector<std::string>& notices() const override { return notices_; }
  void Retain() override;

 private:
  struct Segment {
    std::string path;
    uint64_t first_cursor = 0;
    uint64_t end = 0;  // offset behind its last record
    // Cursor and offset of a record every kIndexBytes; empty: it was not read yet.
    std::vector<std::pair<uint64_t, uint64_t>> index;
  };
  // Where to read from disk.
  struct Place {
    std::string path;
    uint64_t cursor = 0;
    uint64_t offset = 0;
    uint64_t end = 0;
    uint64_t last_cursor = 0;  // not 0: the segment was not read yet, this must be its last
  };

  FileJournal(std::string directory, Options options, UniqueFd lock, EpochFile epoch);
  JournalFiles* files() { return options_.files != nullptr ? options_.files : &disk_; }
  static Error Damage(const std::string& path, const std::string& what);
  Status Load();
  Status FindSnapshot(Status* damaged);
  Status CheckBeginning(const Status& damaged);
  Result<UniqueFd> OpenSegment(const std::string& path, uint64_t first_cursor,
                               uint64_t* size) const;
  Status LoadHeader(const std::string& path, uint64_t first_cursor, uint64_t next_cursor);
  Status LoadSegment(const std::string& path, uint64_t first_cursor, bool last);
  Status BeginEpoch(uint64_t after);
  Status BeginSegment();
  Status WriteAgain();
  void MarkSynced(uint64_t cursor) BROOD_REQUIRES(sync_mutex_);
  uint64_t ReadSyncedMark() const;
  Status IndexWhole(const Place& place) const;
  static void Index(Segment* segment, uint64_t cursor, uint64_t offset);
  bool FindOnDisk(uint64_t cursor, Place* place) const BROOD_REQUIRES(mutex_);
  // Hand on records up to `last`, and move `*next` behind them; false if the sink has had enough.
  static bool ReadFromMemory(const MemoryTail::View& view, uint64_t last, const Sink& sink,
                             uint64_t* next);
  static Result<bool> ReadFromDisk(const Place& place, uint64_t last, const Sink& sink,
                                   uint64_t* next);

  const std::string directory_;
  const Options options_;
  const UniqueFd lock_;
  DiskFiles disk_;
  EpochFile epoch_;
  // The epoch is of another boot: what was not synced may be missing, in any order.
  bool other_boot_ = false;

  // The appender's own.
  std::unique_ptr<SegmentWriter> writer_;
  std::vector<size_t> sizes_;
  Status no_spare_;  // why the next segment has no room

  // Held while the kernel syncs: it tells of an error once, and it must be heard by all.
  Mutex sync_mutex_;
  std::shared_ptr<JournalFile> mark_ BROOD_GUARDED_BY(sync_mutex_);
  mutable Mutex mutex_;
  MemoryTail tail_;  // see its own rules
  mutable std::deque<Segment> segments_ BROOD_GUARDED_BY(mutex_);
  std::deque<uint64_t> snapshots_ BROOD_GUARDED_BY(mutex_);  // their cursors, the newest last
  uint64_t restored_cursor_ = 0;
  std::vector<std::string> notices_;
  std::shared_ptr<JournalFile> active_ BROOD_GUARDED_BY(mutex_);  // the last segment
  uint64_t synced_cursor_ BROOD_GUARDED_BY(mutex_) = 0;
  uint64_t synced_end_ BROOD_GUARDED_BY(mutex_) = 0;  // an offset of the last segment
  Status sync_failed_ BROOD_GUARDED_BY(mutex_);
  Status little_room_ BROOD_GUARDED_BY(mutex_);
  std::atomic<uint64_t> head_{0};
  std::atomic<uint64_t> oldest_{1};
};

}  // namespace brood
