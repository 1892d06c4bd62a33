// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/followed_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "agent/spool/spool_files.h"
#include "common/base/unique_fd.h"

namespace brood {

void FollowedFile::Look() {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) return;
  const auto size = static_cast<uint64_t>(status.st_size);
  // What was told of is not taken back: it is found to be missing by who reads it.
  if (size < size_) {
    truncated_ = true;
    return;
  }
  size_ = size;
  const uint64_t from = settings_.is_ring() ? 0 : settings_.stream_bytes_max;
  const uint64_t to = settings_.is_ring() ? begin() : size_;
  if (freed_ < from) freed_ = from;
  if (to < freed_ + kFreeBytes) return;
  const UniqueFd writes(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
  if (!writes) return;
  FreeBytes(writes.get(), freed_, to);
  freed_ = to / kFreeBytes * kFreeBytes;
}

FollowedFile::Holders FollowedFile::FindHolders() {
  // To read only: one to write would be found among the holders.
  const UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno == ENOENT ? Holders::kNone : Holders::kUnknown;
  // The kernel gives a lease on a file to read only if nobody has it open to write. Should somebody
  // open it in the moment for which it is held, a signal comes that does nothing by default.
  ::fcntl(file.get(), F_SETSIG, SIGURG);
  if (::fcntl(file.get(), F_SETLEASE, F_RDLCK) == 0) {
    ::fcntl(file.get(), F_SETLEASE, F_UNLCK);
    return Holders::kNone;
  }
  return errno == EAGAIN ? Holders::kSome : Holders::kUnknown;
}

void FollowedFile::CutAt(uint64_t end) const {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0 || static_cast<uint64_t>(status.st_size) <= end) return;
  (void)::truncate(path_.c_str(), static_cast<off_t>(end));
}

}  // namespace brood
