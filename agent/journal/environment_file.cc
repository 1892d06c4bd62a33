// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/environment_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/journal/journal_format.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

struct FileHeader {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
};
constexpr FileHeader kHeader = {{'B', 'R', 'O', 'O', 'D', 'E', 'N', 'V'}, 1, 0};

// In a record's `cursor`, which means nothing else here.
constexpr uint64_t kOwnBytes = 0;
constexpr uint64_t kSameAsLast = 1;

constexpr char kNewSuffix[] = ".new";

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

}  // namespace

EnvironmentFile::EnvironmentFile(std::string path, Options options)
    : path_(std::move(path)), options_(options) {}

Result<std::unique_ptr<EnvironmentFile>> EnvironmentFile::Open(const std::string& path,
                                                               Options options) {
  std::unique_ptr<EnvironmentFile> opened(new EnvironmentFile(path, options));
  // Of an agent that died within a Rewrite.
  ::unlink((path + kNewSuffix).c_str());
  std::shared_ptr<JournalFile> file;
  const int error = opened->files()->Open(path, JournalFiles::Make::kIfMissing, &file);
  if (error != 0) return ErrnoError(error, "open '" + path + "'");
  {
    const MutexLock lock(&opened->mutex_);
    opened->file_ = std::move(file);
  }
  if (Status bad = opened->Load()) return *std::move(bad);
  return opened;
}

std::shared_ptr<JournalFile> EnvironmentFile::file() const {
  const MutexLock lock(&mutex_);
  return file_;
}

Status EnvironmentFile::Load() {
  const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return ErrnoError(errno, "read '" + path_ + "'");
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t got = 0;
  while (got < text.size()) {
    const ssize_t some =
        ::pread(fd.get(), text.data() + got, text.size() - got, static_cast<off_t>(got));
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) return ErrnoError(some < 0 ? errno : EIO, "read '" + path_ + "'");
    got += static_cast<size_t>(some);
  }
  if (text.size() < sizeof(kHeader)) {
    // New, or its writer died within the very first write.
    if (const int error = file()->Truncate(0)) return JournalError(error, "cut", path_);
    return Write(std::string(reinterpret_cast<const char*>(&kHeader), sizeof(kHeader)));
  }
  if (std::memcmp(text.data(), &kHeader, sizeof(kHeader)) != 0) {
    Error error;
    error.code = ErrorCode::kDataLoss;
    error.reason = "JOURNAL_DAMAGED";
    error.message = "'" + path_ +
                    "' does not hold environments of this version; move it away and lose the jobs "
                    "that wait";
    return error;
  }
  size_ = sizeof(kHeader);
  RecordHeader record;
  while (DecodeRecord(text.data() + size_, text.size() - size_, &record)) {
    const size_t bytes = record.length - kRecordLengthMin;
    if (record.cursor == kOwnBytes) {
      last_ = std::make_shared<const std::string>(text, size_ + sizeof(record), bytes);
    }
    if (last_ == nullptr) break;
    kept_[record.job_key] = last_;
    wanted_bytes_ += last_->size();
    size_ += RecordBytes(bytes);
  }
  if (size_ == text.size()) return Ok();
  if (const int error = file()->Truncate(size_)) return JournalError(error, "cut", path_);
  return Ok();
}

void EnvironmentFile::Encode(uint64_t job_key, const Bytes& bytes, std::string* out) {
  const bool same = last_ != nullptr && *last_ == *bytes;
  const std::string_view payload = same ? std::string_view("") : std::string_view(*bytes);
  const size_t at = out->size();
  out->resize(at + RecordBytes(payload.size()));
  EncodeRecord(same ? kSameAsLast : kOwnBytes, job_key, payload, out->data() + at);
  if (!same) last_ = bytes;
  kept_[job_key] = last_;
}

Status EnvironmentFile::Write(const std::string& bytes) {
  const std::shared_ptr<JournalFile> file = this->file();
  size_t written = 0;
  const int error = file->Write(size_, bytes.data(), bytes.size(), &written);
  const MutexLock lock(&mutex_);
  unsynced_ = true;
  if (error == 0) {
    size_ += bytes.size();
    return Ok();
  }
  // The next to be written refers to nothing that may not be there. Should the cut fail, the file
  // is written anew all the same.
  last_ = nullptr;
  (void)file->Truncate(size_);
  trouble_ = JournalError(error, "write to", path_);
  return trouble_;
}

Status EnvironmentFile::Keep(const std::vector<std::pair<uint64_t, std::string>>& of_jobs) {
  std::string out;
  for (const auto& [job_key, bytes] : of_jobs) {
    Encode(job_key, std::make_shared<const std::string>(bytes), &out);
    wanted_bytes_ += bytes.size();
  }
  return Write(out);
}

void EnvironmentFile::Forget(const std::vector<uint64_t>& job_keys) {
  bool any = false;
  for (const uint64_t job_key : job_keys) {
    const auto found = kept_.find(job_key);
    if (found == kept_.end()) continue;
    wanted_bytes_ -= found->second->size();
    kept_.erase(found);
    any = true;
  }
  if (!any) return;
  if (kept_.empty()) {
    // What is not cut now is with the next.
    last_ = nullptr;
    if (file()->Truncate(sizeof(kHeader)) == 0) size_ = sizeof(kHeader);
  } else if (size_ > options_.rewrite_bytes && wanted_bytes_ < size_ / 2) {
    // Should it fail, the larger file goes on.
    (void)Rewrite();
  }
}

// The new file is on the disk before it has the old one's name.
Status EnvironmentFile::Rewrite() {
  const std::string fresh = path_ + kNewSuffix;
  std::shared_ptr<JournalFile> file;
  if (const int error = files()->Open(fresh, JournalFiles::Make::kEmpty, &file))
    return JournalError(error, "create", fresh);
  const Bytes last = std::exchange(last_, nullptr);
  std::string out(reinterpret_cast<const char*>(&kHeader), sizeof(kHeader));
  for (const auto& [job_key, bytes] : std::map<uint64_t, Bytes>(kept_))
    Encode(job_key, bytes, &out);
  size_t written = 0;
  int error = file->Write(0, out.data(), out.size(), &written);
  if (error == 0) error = file->Sync();
  if (error == 0) error = files()->Rename(fresh, path_);
  if (error != 0) {
    last_ = last;
    (void)file->Truncate(0);
    return JournalError(error, "write", fresh);
  }
  size_ = out.size();
  const MutexLock lock(&mutex_);
  file_ = std::move(file);
  unsynced_ = renamed_ = true;
  return Ok();
}

Status EnvironmentFile::Sync() {
  const MutexLock sync(&sync_mutex_);
  std::shared_ptr<JournalFile> file;
  bool renamed = false;
  {
    const MutexLock lock(&mutex_);
    if (trouble_ || !unsynced_) return trouble_;
    file = file_;
    // What is written from here on asks for the next one.
    unsynced_ = false;
    renamed = std::exchange(renamed_, false);
  }
  int error = file->Sync();
  if (error == 0 && renamed) error = files()->SyncDirectory(FolderOf(path_));
  if (error == 0) return Ok();
  const MutexLock lock(&mutex_);
  unsynced_ = renamed_ = true;
  trouble_ = JournalError(error, "bring to the disk", path_);
  return trouble_;
}

Status EnvironmentFile::Trouble() const {
  const MutexLock lock(&mutex_);
  return trouble_;
}

// Nothing of the old file is believed: a Sync of it may have failed.
Status EnvironmentFile::Recover() {
  if (!Trouble()) return Ok();
  const Status bad = Rewrite();
  const MutexLock lock(&mutex_);
  if (!bad) trouble_ = Ok();
  return trouble_;
}

}  // namespace brood
