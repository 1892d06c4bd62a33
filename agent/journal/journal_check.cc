// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/journal_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "agent/journal/epoch_file.h"
#include "agent/journal/id_log.h"
#include "agent/journal/journal_format.h"
#include "agent/journal/segment_reader.h"
#include "agent/journal/side_file.h"
#include "agent/journal/snapshot_file.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

// A batch is written by one system call: if its end has not come by then, nobody writes it.
constexpr int kLooksAtTail = 20;
constexpr std::chrono::milliseconds kBetweenLooks{10};

class Check {
 public:
  Check(std::string directory, std::ostream& out) : directory_(std::move(directory)), out_(out) {}

  Status Run() {
    Result<EpochFile> epoch = ReadEpochFile(directory_);
    if (!epoch) return epoch.error();
    journal_id_ = epoch->journal_id;
    out_ << "journal " << journal_id_ << ", epoch " << epoch->epochs.present() << "\n";
    // In this order: what an agent writes meanwhile is only ever ahead of what is compared with it.
    Result<std::vector<uint64_t>> snapshots = ListNumbered(directory_, kSnapshotSuffix);
    if (!snapshots) return snapshots.error();
    if (Status bad = CheckIds()) return bad;
    if (Status bad = CheckSegments()) return bad;
    for (const uint64_t cursor : *snapshots) {
      if (Status bad = CheckSnapshot(cursor)) return bad;
    }
    if (newest_ != 0 && newest_ + 1 < oldest_) {
      return SideDamage(directory_, "events " + std::to_string(newest_ + 1) + " to " +
                                        std::to_string(oldest_ - 1) + " are not there");
    }
    if (head_ >= oldest_) out_ << "events " << oldest_ << " to " << head_ << ": all are whole\n";
    if (head_ < oldest_) out_ << "no events\n";
    return Ok();
  }

 private:
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }

  Status CheckSegments() {
    Result<std::vector<uint64_t>> all = ListNumbered(directory_, ".log");
    if (!all) return all.error();
    bool first = true;
    for (const uint64_t cursor : *all) {
      const std::string path = PathOf(SegmentName(cursor));
      UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
      // Deleted since, and so are all before it.
      if (!fd && errno == ENOENT) {
        first = true;
        continue;
      }
      if (!fd) return ErrnoError(errno, "open '" + path + "'");
      if (first) {
        oldest_ = cursor;
        head_ = cursor - 1;
      }
      first = false;
      if (cursor != head_ + 1) {
        return SideDamage(path, "it begins at cursor " + std::to_string(cursor) +
                                    ", but the one before ends at " + std::to_string(head_));
      }
      if (Status bad = CheckSegment(path, std::move(fd), cursor, cursor == all->back())) return bad;
    }
    return Ok();
  }

  Status CheckSegment(const std::string& path, UniqueFd fd, uint64_t first_cursor, bool last) {
    SegmentHeader header;
    if (::pread(fd.get(), &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header)))
      return SideDamage(path, "it is shorter than its header");
    if (const Status bad = CheckSegmentHeader(header, journal_id_))
      return SideDamage(path, bad->message);
    if (header.first_cursor != first_cursor)
      return SideDamage(path, "its name and its header state different cursors");
    uint64_t offset = sizeof(header);
    uint64_t torn = 0;
    for (int looks = 0;; ++looks) {
      struct stat status {};
      if (::fstat(fd.get(), &status) != 0) return ErrnoError(errno, "read '" + path + "'");
      const auto size = static_cast<uint64_t>(status.st_size);
      SegmentReader reader(UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)), offset, head_ + 1,
                           size);
      RecordView record;
      Result<bool> more = true;
      while (more && *more) more = reader.Next(&record);
      if (reader.offset() > offset) looks = 0;
      offset = reader.offset();
      head_ = reader.cursor() - 1;
      if (more) break;
      if (more.error().code != ErrorCode::kDataLoss) return std::move(more).error();
      if (last && looks < kLooksAtTail) {
        std::this_thread::sleep_for(kBetweenLooks);
        continue;
      }
      Result<bool> follows = last ? reader.RecordFollows() : Result<bool>(true);
      if (!follows) return std::move(follows).error();
      if (*follows) return SideDamage(path, more.error().message);
      torn = size - offset;
      break;
    }
    out_ << "segment " << path << ": events " << first_cursor << " to " << head_ << ", " << offset
         << " bytes\n";
    if (torn > 0) {
      out_ << "torn " << path << ": " << torn << " bytes from offset " << offset
           << " on are no whole event; the next agent cuts them\n";
    }
    return Ok();
  }

  Status CheckSnapshot(uint64_t cursor) {
    uint64_t parts = 0;
    uint64_t bytes = 0;
    Status bad = ReadSnapshotFile(directory_, journal_id_, cursor, [&](std::string_view part) {
      ++parts;
      bytes += part.size();
    });
    // An agent keeps two.
    if (bad && bad->code == ErrorCode::kNotFound) return Ok();
    if (bad) return bad;
    const std::string path = PathOf(NumberedName(cursor, kSnapshotSuffix));
    if (cursor > head_) {
      return SideDamage(path, "it has events up to " + std::to_string(cursor) +
                                  ", but the last one is " + std::to_string(head_));
    }
    out_ << "snapshot " << path << ": events up to " << cursor << ", "
         << (parts == 0 ? 0 : parts - 1) << " jobs, " << bytes << " bytes\n";
    newest_ = cursor;
    return Ok();
  }

  Status CheckIds() {
    Result<std::vector<uint64_t>> firsts = ListNumbered(directory_, kIdsSuffix);
    if (!firsts) return firsts.error();
    uint64_t next = 0;
    bool follows = false;  // one that was looked at
    for (const uint64_t first : *firsts) {
      const std::string path = PathOf(NumberedName(first, kIdsSuffix));
      if (follows && next != first) {
        return SideDamage(path, "it begins at entry " + std::to_string(first) +
                                    ", but the one before ends at " + std::to_string(next));
      }
      uint64_t count = 0;
      bool torn = false;
      const Status bad = ReadIdFile(path, journal_id_, first, &count, &torn);
      if (bad && bad->code == ErrorCode::kNotFound) {
        follows = false;  // deleted since, and so are all before it
        continue;
      }
      if (bad) return bad;
      follows = true;
      if (torn && first != firsts->back()) {
        return SideDamage(
            path, "no whole record of entry " + std::to_string(first + count) + " stands in it");
      }
      next = first + count;
      out_ << "ids " << path << ": " << count << " from number " << first << " on"
           << (torn ? ", and a part that is of no snapshot" : "") << "\n";
    }
    return Ok();
  }

  const std::string directory_;
  std::ostream& out_;
  std::string journal_id_;
  uint64_t oldest_ = 1;
  uint64_t head_ = 0;
  uint64_t newest_ = 0;  // snapshot
};

}  // namespace

Status CheckJournal(const std::string& directory, std::ostream& out) {
  return Check(directory, out).Run();
}

}  // namespace brood
