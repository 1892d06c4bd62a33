// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/journal_files.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "common/base/failpoint.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

int ErrnoOf(int result) { return result == 0 ? 0 : errno; }

class DiskFile final : public JournalFile {
 public:
  explicit DiskFile(UniqueFd fd) : fd_(std::move(fd)) {}

  int Write(uint64_t offset, const char* bytes, size_t size, size_t* written) override {
    *written = 0;
    while (*written < size) {
      size_t part = size - *written;
      const ssize_t some =
          FailsAt("disk.write", &part)
              ? -1
              : ::pwrite(fd_.get(), bytes + *written, part, static_cast<off_t>(offset + *written));
      if (some < 0 && errno == EINTR) continue;
      if (some <= 0) return some < 0 ? errno : ENOSPC;
      *written += static_cast<size_t>(some);
    }
    return 0;
  }

  // Never again after an error, EINTR neither: see the header.
  int Sync() override { return FailsAt("disk.sync") ? errno : ErrnoOf(::fdatasync(fd_.get())); }

  int Truncate(uint64_t size) override {
    if (FailsAt("disk.truncate")) return errno;
    return ErrnoOf(::ftruncate(fd_.get(), static_cast<off_t>(size)));
  }

  int Preallocate(uint64_t bytes) override {
    if (FailsAt("disk.preallocate")) return errno;
    if (::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) return 0;
    const bool cannot = errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL;
    return cannot ? 0 : errno;
  }

 private:
  const UniqueFd fd_;
};

}  // namespace

int DiskFiles::Open(const std::string& path, Make make, std::shared_ptr<JournalFile>* file) {
  int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  if (make != Make::kNo) flags |= O_CREAT;
  if (make == Make::kEmpty) flags |= O_TRUNC;
  if (FailsAt("disk.open")) return errno;
  UniqueFd fd(::open(path.c_str(), flags, 0600));
  if (!fd) return errno;
  *file = std::make_shared<DiskFile>(std::move(fd));
  return 0;
}

int DiskFiles::Rename(const std::string& from, const std::string& to) {
  if (FailsAt("disk.rename")) return errno;
  return ErrnoOf(::rename(from.c_str(), to.c_str()));
}

int DiskFiles::SyncDirectory(const std::string& path) {
  if (FailsAt("disk.sync_folder")) return errno;
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder ? ErrnoOf(::fsync(folder.get())) : errno;
}

std::optional<uint64_t> DiskFiles::FreeBytes(const std::string& path) {
  struct statvfs disk {};
  if (::statvfs(path.c_str(), &disk) != 0) return std::nullopt;
  if (::geteuid() != 0) return uint64_t{disk.f_bavail} * disk.f_frsize;
  // Some blocks are for root alone; ext4 counts in what it keeps for itself.
  const uint64_t kept = std::min<uint64_t>(disk.f_blocks / 50, 4096);
  return (disk.f_bfree - std::min<uint64_t>(disk.f_bfree, kept)) * disk.f_frsize;
}

int ReplaceFile(JournalFiles* files, const std::string& path, std::string_view bytes,
                std::shared_ptr<JournalFile>* file) {
  const std::string fresh = path + ".new";
  std::shared_ptr<JournalFile> made;
  size_t written = 0;
  int error = files->Open(fresh, JournalFiles::Make::kEmpty, &made);
  if (error == 0) error = made->Write(0, bytes.data(), bytes.size(), &written);
  if (error == 0) error = made->Sync();
  if (error == 0) error = files->Rename(fresh, path);
  if (error == 0) error = files->SyncDirectory(path.substr(0, path.rfind('/')));
  if (error != 0) {
    ::unlink(fresh.c_str());
    return error;
  }
  if (file != nullptr) *file = std::move(made);
  return 0;
}

Error JournalError(int error_number, const std::string& what, const std::string& path) {
  Error error = ErrnoError(error_number, what + " '" + path + "'");
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    // A file-size limit is the same to the caller as a full disk.
    case EFBIG:
      error.code = ErrorCode::kResourceExhausted;
      error.reason = "JOURNAL_FULL";
      error.message += "; make room on the disk of that folder, and it goes on by itself";
      break;
    case EROFS:
      error.code = ErrorCode::kUnavailable;
      error.reason = "JOURNAL_FAILED";
      error.message += "; make that file system writable, and it goes on by itself";
      break;
    default:
      error.code = ErrorCode::kUnavailable;
      error.reason = "JOURNAL_FAILED";
      error.message += "; see what the kernel says of that disk (dmesg)";
  }
  return error;
}

}  // namespace brood
