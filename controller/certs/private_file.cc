// SPDX-License-Identifier: Apache-2.0
#include "controller/certs/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "common/base/unique_fd.h"

namespace brood {
namespace {

Status SyncFolderOf(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return ErrnoError(errno, "sync '" + folder + "'");
  return Ok();
}

Status Write(const std::string& path, const std::string& text, mode_t mode, int flags) {
  const UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, mode));
  if (!fd && errno == EEXIST) {
    return Error{ErrorCode::kAlreadyExists, "FILE_EXISTS",
                 "'" + path + "' is there already, and is not overwritten; move it away first", ""};
  }
  // Whatever the umask is.
  if (!fd || ::fchmod(fd.get(), mode) != 0) return ErrnoError(errno, "make '" + path + "'");
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t size = ::write(fd.get(), text.data() + done, text.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return ErrnoError(errno, "write '" + path + "'");
    done += static_cast<size_t>(size);
  }
  if (::fsync(fd.get()) != 0) return ErrnoError(errno, "sync '" + path + "'");
  return Ok();
}

}  // namespace

Status CreateFile(const std::string& path, const std::string& text, mode_t mode) {
  Status failed = Write(path, text, mode, O_EXCL);
  if (failed && failed->reason != "FILE_EXISTS") ::unlink(path.c_str());
  return failed ? failed : SyncFolderOf(path);
}

Status ReplaceFile(const std::string& path, const std::string& text, mode_t mode) {
  const std::string next = path + ".new";
  ::unlink(next.c_str());
  Status failed = Write(next, text, mode, O_EXCL);
  if (!failed && ::rename(next.c_str(), path.c_str()) != 0) {
    failed = ErrnoError(errno, "rename '" + next + "'");
  }
  if (failed) ::unlink(next.c_str());
  return failed ? failed : SyncFolderOf(path);
}

}  // namespace brood
