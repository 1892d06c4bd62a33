// SPDX-License-Identifier: Apache-2.0
#include "common/base/pidfd_status.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

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

}  // namespace brood
