// SPDX-License-Identifier: Apache-2.0
#include "common/base/pidfd_status.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "common/base/unique_fd.h"

namespace brood {
namespace {

// Not yet in the headers of Debian 12: linux/pidfd.h of Linux 6.15.
struct PidfdInfo {
  uint64_t mask;
  uint64_t cgroup_id;
  uint32_t ids[11];  // pid tgid ppid and the credentials
  int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr uint64_t kPidfdInfoExit = 1 << 3;
constexpr unsigned long kPidfdGetInfo = _IOWR(0xFF, 11, PidfdInfo);

// Nor this, of Linux 6.9: to the group.
constexpr unsigned kPidfdSignalProcessGroup = 1 << 2;
// Of /proc/PID/stat (proc(5)), counted behind the name: 3 is the state, 52 the exit status.
constexpr int kStateField = 3;
constexpr int kExitField = 52;
// It has some 320 bytes; as much again for a name and larger numbers.
constexpr size_t kStatBytes = 1024;

// What a file of /proc/PID says; empty if it says nothing to us.
std::string_view ReadProc(pid_t pid, const char* name, char (&bytes)[kStatBytes]) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t got = fd ? ::read(fd.get(), bytes, sizeof(bytes)) : -1;
  return {bytes, static_cast<size_t>(got > 0 ? got : 0)};
}

}  // namespace

int SignalGroupOf(int pidfd, pid_t leader, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, kPidfdSignalProcessGroup) == 0)
    return 0;
  if (errno != EINVAL) return errno;
  return ::kill(-leader, signal) == 0 ? 0 : errno;
}

std::optional<int> ReadStatusOfReaped(int pidfd) {
  PidfdInfo asked{};
  asked.mask = kPidfdInfoExit;
  if (::ioctl(pidfd, kPidfdGetInfo, &asked) != 0 || (asked.mask & kPidfdInfoExit) == 0)
    return std::nullopt;
  return asked.exit_code;
}

std::optional<int> ReadStatusOfZombie(int pidfd, pid_t pid) {
  char bytes[kStatBytes];
  // The status is shown as 0 to whom it is not shown. This file asks for the same right, and is
  // refused then.
  if (ReadProc(pid, "io", bytes).empty()) return std::nullopt;
  std::string_view rest = ReadProc(pid, "stat", bytes);
  const size_t name_end = rest.rfind(')');
  if (name_end == std::string_view::npos || rest.substr(name_end, 3) != ") Z") return std::nullopt;
  rest.remove_prefix(name_end + 2);
  for (int field = kStateField; field < kExitField; ++field) {
    const size_t space = rest.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(space + 1);
  }
  int status = 0;
  if (std::from_chars(rest.data(), rest.data() + rest.size(), status).ec != std::errc())
    return std::nullopt;
  // Not waited for by now, so its pid was nobody else's when that was read.
  if (::syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) != 0) return std::nullopt;
  return status;
}

}  // namespace brood
