// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/environment_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/journal/journal_format.h"

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

Error WriteError(int error_number, const std::string& path) {
  Error error = ErrnoError(error_number, "write to '" + path + "'");
  if (error_number == EFBIG) error.code = ErrorCode::kResourceExhausted;
  return error;
}

}  // namespace

EnvironmentFile::EnvironmentFile(std::string path, Options options, UniqueFd fd)
    : path_(std::move(path)), options_(options), fd_(std::move(fd)) {}

Result<std::unique_ptr<EnvironmentFile>> EnvironmentFile::Open(const std::string& path,
                                                               Options options) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  std::unique_ptr<EnvironmentFile> file(new EnvironmentFile(path, options, std::move(fd)));
  if (Status bad = file->Load()) return *std::move(bad);
  return file;
}

Status EnvironmentFile::Load() {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return ErrnoError(errno, "read '" + path_ + "'");
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t got = 0;
  while (got < text.size()) {
    const ssize_t some =
        ::pread(fd_.get(), text.data() + got, text.size() - got, static_cast<off_t>(got));
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) return ErrnoError(some < 0 ? errno : EIO, "read '" + path_ + "'");
    got += static_cast<size_t>(some);
  }
  if (text.size() < sizeof(kHeader)) {
    // New, or its writer died within the very first write.
    if (::ftruncate(fd_.get(), 0) != 0) return ErrnoError(errno, "cut '" + path_ + "'");
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
  if (size_ < text.size() && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0)
    return ErrnoError(errno, "cut '" + path_ + "'");
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
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t some = ::pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(size_ + done));
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) return WriteError(some < 0 ? errno : ENOSPC, path_);
    done += static_cast<size_t>(some);
  }
  size_ += bytes.size();
  return Ok();
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
    if (::ftruncate(fd_.get(), sizeof(kHeader)) == 0) size_ = sizeof(kHeader);
  } else if (size_ > options_.rewrite_bytes && wanted_bytes_ < size_ / 2) {
    Rewrite();
  }
}

// Should it fail, the larger file goes on.
void EnvironmentFile::Rewrite() {
  const std::string fresh = path_ + ".new";
  UniqueFd fd(::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return;
  const Bytes last = std::exchange(last_, nullptr);
  const uint64_t size = std::exchange(size_, 0);
  std::swap(fd_, fd);
  std::string out(reinterpret_cast<const char*>(&kHeader), sizeof(kHeader));
  for (const auto& [job_key, bytes] : std::map<uint64_t, Bytes>(kept_))
    Encode(job_key, bytes, &out);
  if (!Write(out) && ::rename(fresh.c_str(), path_.c_str()) == 0) return;
  std::swap(fd_, fd);
  last_ = last;
  size_ = size;
  ::unlink(fresh.c_str());
}

}  // namespace brood
