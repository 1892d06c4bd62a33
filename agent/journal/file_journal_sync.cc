// SPDX-License-Identifier: Apache-2.0
//
// From the page cache to the disk, and what is done where that goes wrong.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "agent/journal/file_journal.h"
#include "agent/journal/segment_reader.h"
#include "common/base/checksum.h"

namespace brood {
namespace {

// What the file `synced` holds. It is never synced itself: an old one says less, and that is true.
struct SyncedMark {
  uint64_t cursor;
  uint32_t crc;
  uint32_t reserved;
};
static_assert(sizeof(SyncedMark) == 16);

uint32_t CrcOf(uint64_t cursor, const std::string& journal_id) {
  return Crc32c(journal_id.data(), journal_id.size(), Crc32c(&cursor, sizeof(cursor)));
}

}  // namespace

// A mark that cannot be written leaves the one before.
void FileJournal::MarkSynced(uint64_t cursor) {
  const std::string path = directory_ + "/synced";
  if (mark_ == nullptr && files()->Open(path, JournalFiles::Make::kIfMissing, &mark_) != 0) return;
  const SyncedMark mark{cursor, CrcOf(cursor, id()), 0};
  size_t written = 0;
  (void)mark_->Write(0, reinterpret_cast<const char*>(&mark), sizeof(mark), &written);
}

// 0 if nothing is known.
uint64_t FileJournal::ReadSyncedMark() const {
  const UniqueFd fd(::open((directory_ + "/synced").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  SyncedMark mark{};
  if (!fd || ::pread(fd.get(), &mark, sizeof(mark), 0) != sizeof(mark)) return 0;
  return mark.crc == CrcOf(mark.cursor, id()) ? mark.cursor : 0;
}

Result<uint64_t> FileJournal::Sync() {
  const MutexLock sync(&sync_mutex_);
  std::shared_ptr<JournalFile> file;
  std::string path;
  uint64_t cursor = 0;
  uint64_t end = 0;
  {
    const MutexLock lock(&mutex_);
    if (sync_failed_) return *sync_failed_;
    if (active_ == nullptr) return head();
    file = active_;
    path = segments_.back().path;
    cursor = head();
    end = segments_.back().end;
  }
  // The segments before were synced when this one was made.
  const int error = file->Sync();
  if (error == 0) MarkSynced(cursor);
  const MutexLock lock(&mutex_);
  if (error != 0) {
    sync_failed_ = JournalError(error, "bring to the disk", path);
    return *sync_failed_;
  }
  synced_cursor_ = cursor;
  if (file == active_) synced_end_ = end;
  return cursor;
}

uint64_t FileJournal::unsynced_bytes() const {
  const MutexLock lock(&mutex_);
  return segments_.empty() ? 0 : segments_.back().end - synced_end_;
}

Status FileJournal::Trouble() const {
  {
    const MutexLock lock(&mutex_);
    if (sync_failed_) return sync_failed_;
    if (little_room_) return little_room_;
  }
  if (writer_ != nullptr && writer_->trouble()) return writer_->trouble();
  return no_spare_;
}

Status FileJournal::CheckRoom() {
  const std::optional<uint64_t> free = files()->FreeBytes(directory_);
  Status little;
  // The sentence does not change with each byte, so that it is told once.
  if (free && *free < options_.free_bytes_min) {
    little = JournalError(
        ENOSPC,
        "keep " + std::to_string(options_.free_bytes_min >> 20) + " MiB free on the disk of",
        directory_);
  }
  const MutexLock lock(&mutex_);
  little_room_ = little;
  return little;
}

Status FileJournal::Recover() {
  (void)CheckRoom();
  bool sync_failed = false;
  {
    const MutexLock lock(&mutex_);
    sync_failed = sync_failed_.has_value();
  }
  if (writer_ != nullptr) (void)writer_->Recover();
  if (sync_failed) {
    if (Status bad = WriteAgain()) return bad;
  }
  no_spare_ = SegmentWriter::MakeSpare(files(), directory_, options_.segment_bytes);
  return Trouble();
}

// After a Sync that failed the kernel may hold pages for clean that are not on the disk, and a
// second Sync would succeed and lie. Written once more they are dirty again. They are read back by
// their checksums: what the kernel has dropped by now is not made up.
Status FileJournal::WriteAgain() {
  const MutexLock sync(&sync_mutex_);
  uint64_t from = 0;
  uint64_t cursor = 0;
  {
    const MutexLock lock(&mutex_);
    from = synced_end_;
    cursor = synced_cursor_ + 1;
  }
  const std::string& path = writer_->path();
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return JournalError(errno, "open", path);
  SegmentReader reader(std::move(fd), from, cursor, writer_->end());
  std::string bytes;
  RecordView record;
  for (;;) {
    Result<bool> more = reader.Next(&record);
    if (!more) {
      Error error = JournalError(EIO, "read back", path);
      error.message += ": " + more.error().message;
      return error;
    }
    if (!*more) break;
    const size_t at = bytes.size();
    bytes.resize(at + RecordBytes(record.payload.size()));
    EncodeRecord(record.cursor, record.job_key, record.payload, bytes.data() + at);
  }
  if (Status bad = writer_->Rewrite(from, bytes.data(), bytes.size())) return bad;
  if (const int error = writer_->file()->Sync())
    return JournalError(error, "bring to the disk", path);
  const MutexLock lock(&mutex_);
  sync_failed_ = Ok();
  synced_cursor_ = head();
  synced_end_ = writer_->end();
  return Ok();
}

}  // namespace brood
