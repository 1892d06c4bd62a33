// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace brood {

class JournalFiles;

// One event on its way to disk: `payload` is a serialized brood.v1.Event, whose
// cursor is `cursor`. `job_key` lets readers skip what is not theirs unread.
struct JournalRecord {
  uint64_t cursor = 0;
  uint64_t job_key = 0;  // 0: a parent's or the agent's own event
  std::string payload;
};

// A host's durable, ordered events: append-only segments in one folder, locked
// by flock. The truth, and the stream.
class Journal {
 public:
  struct Options {
    // A segment is closed once it is this large; the unit of retention.
    size_t segment_bytes = 16 << 20;
    // The oldest segments are deleted while all together are larger, or when nothing was written to
    // them for so long (0: however long); but none that a snapshot is not behind, see
    // WriteSnapshot.
    size_t retained_bytes = 1 << 30;
    int64_t retained_ns = 0;
    // The newest events are also kept in memory, for live readers.
    size_t tail_bytes = 8 << 20;
    // Below so much room on the disk there is trouble: what jobs in flight still need of it (their
    // environments, their parents' notes, their output) has to fit, and is met before this is.
    size_t free_bytes_min = 8 << 20;
    // What is written to; null: the disk. Outlives the journal.
    JournalFiles* files = nullptr;
  };

  using Sink = std::function<bool(uint64_t cursor, uint64_t job_key, std::string_view payload)>;

  // Opens the folder, creating it if need be, and cuts a torn tail of the last
  // segment. FAILED_PRECONDITION if another process has it; DATA_LOSS, with the
  // segment and offset, for any other damage. Of segments that lie before the
  // newest snapshot only the headers are read: their records are checked when
  // they are first read.
  static Result<std::unique_ptr<Journal>> Open(const std::string& directory, Options options);
  virtual ~Journal() = default;

  // Appends records whose cursors follow the head without a gap. When it
  // returns, they survive the death of every process of brood. One caller at a
  // time. RESOURCE_EXHAUSTED (JOURNAL_FULL) if the disk is full, UNAVAILABLE (JOURNAL_FAILED) for
  // what else is wrong with it; then nothing was appended.
  virtual Status Append(const std::vector<JournalRecord>& records) = 0;

  // Brings what was appended before the call to the disk, and says up to which cursor: that much
  // survives a loss of power. Thread-safe. After an error it fails until Recover has mended that.
  virtual Result<uint64_t> Sync() = 0;
  // Appended, and not known to be on the disk. By the appender.
  virtual uint64_t unsynced_bytes() const = 0;

  // Why it should be given nothing new, though what belongs to jobs that run may still fit: the
  // room for the next segment is not there, the disk has too little, or a Sync has failed. By the
  // appender.
  virtual Status Trouble() const = 0;
  // Looks how much room the disk has, some microseconds; too little is Trouble. Thread-safe.
  virtual Status CheckRoom() = 0;
  // Tries to end that, and returns what is left of it. By the appender.
  virtual Status Recover() = 0;

  // Hands records with cursor > after to `sink`, in order, until it returns
  // false or the head is reached. Thread-safe, beside one appender. The payload
  // is valid during the call only. OUT_OF_RANGE if `after` is past the head.
  // Starts at oldest() if earlier ones are no longer kept: the caller compares.
  virtual Status Read(uint64_t after, const Sink& sink) const = 0;

  // ---- snapshots: what the owner knew after some record, so that it need not read those before.
  // Makes `parts` (at most 1 MiB each) and all records up to `cursor`, which have been appended,
  // durable. The two newest snapshots are kept, and all records behind the older of them. Beside
  // one appender, one caller at a time.
  virtual Status WriteSnapshot(uint64_t cursor, const std::vector<std::string>& parts) = 0;
  // The cursor of the newest snapshot that was whole at the opening; 0 if there was none.
  virtual uint64_t restored_cursor() const = 0;
  // Hands on the parts of that one.
  virtual Status ReadSnapshot(const std::function<void(std::string_view part)>& sink) const = 0;
  // What was passed over at the opening, in sentences for the log.
  virtual const std::vector<std::string>& notices() const = 0;
  // Deletes what the options say: also done by Append and WriteSnapshot, but not while nothing
  // happens. As WriteSnapshot.
  virtual void Retain() = 0;

  // Cursor of the newest record; 0 if there is none. Thread-safe.
  virtual uint64_t head() const = 0;
  // Cursor of the oldest record that is kept; head() + 1 if none. Thread-safe.
  virtual uint64_t oldest() const = 0;
  // Random, made with the folder: names this journal in resume tokens. 16 hex digits.
  virtual const std::string& id() const = 0;
  // Grows with every boot and every cut of a torn tail: cursors of different
  // epochs may name different events.
  virtual uint64_t epoch() const = 0;
  // The last cursor that names now what it named in that epoch; 0 if there is none, or none is
  // known. Thread-safe.
  virtual uint64_t KeptOf(uint64_t epoch) const = 0;
};

}  // namespace brood
