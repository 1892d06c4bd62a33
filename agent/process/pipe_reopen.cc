// SPDX-License-Identifier: Apache-2.0
#include "agent/process/pipe_reopen.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace brood {

UniqueFd ReopenPipe(pid_t pid, uint64_t inode) {
  std::error_code error;
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  for (auto entry = std::filesystem::directory_iterator(folder, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const char* const path = entry->path().c_str();
    struct stat status {};
    if (::stat(path, &status) != 0 || !S_ISFIFO(status.st_mode) || status.st_ino != inode) continue;
    UniqueFd fd(::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    // The descriptor may have become another one's in between.
    if (fd && ::fstat(fd.get(), &status) == 0 && status.st_ino == inode) return fd;
  }
  return UniqueFd();
}

}  // namespace brood
