// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/exit_status.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>

#include "common/base/pidfd_status.h"

namespace brood {
namespace {

constexpr int kLowestPriority = 19;

// glibc's waitid gives no usage; the system call does, with WNOWAIT too.
long WaitPidfd(int pidfd, siginfo_t* seen, int options, rusage* usage) {
  long result;
  do {
    result = ::syscall(SYS_waitid, P_PIDFD, pidfd, seen, options, usage);
  } while (result != 0 && errno == EINTR);
  return result;
}

int64_t Micros(const timeval& time) { return int64_t{time.tv_sec} * 1'000'000 + time.tv_usec; }

// Whether the process group of a zombie has members beside it. kill(-pid, 0)
// cannot tell, it finds the zombie, and after the reap would be too late: the
// note stands before it. So the zombie, which no longer cares, gets the lowest
// priority; if the group's best is better than that, somebody else has it.
// Survivors that all have the lowest one as well (nice -n 19) are taken for none:
// nothing tells them from a zombie that is alone, which is how nearly every job
// ends, and to search /proc each time would cost more than the job.
bool GroupOutlives(pid_t pid) {
  const auto id = static_cast<id_t>(pid);
  errno = 0;
  if (::getpriority(PRIO_PROCESS, id) == kLowestPriority && errno == 0)
    return true;  // Cannot tell.
  if (::setpriority(PRIO_PROCESS, id, kLowestPriority) != 0) return true;
  errno = 0;
  const int best = ::getpriority(PRIO_PGRP, id);
  return errno == 0 && best < kLowestPriority;
}

void ReadStolenExit(int pidfd, Note* note) {
  note->code = 0;
  const std::optional<int> status = ReadStatusOfReaped(pidfd);
  if (!status) return;
  if (WIFEXITED(*status)) {
    note->code = CLD_EXITED;
    note->status = WEXITSTATUS(*status);
  } else if (WIFSIGNALED(*status)) {
    note->code = WCOREDUMP(*status) ? CLD_DUMPED : CLD_KILLED;
    note->status = WTERMSIG(*status);
  }
}

}  // namespace

bool ReadExit(int pidfd, pid_t pid, Note* note) {
  siginfo_t seen{};
  rusage usage{};
  if (WaitPidfd(pidfd, &seen, WEXITED | WNOHANG | WNOWAIT, &usage) != 0) {
    if (errno != ECHILD) return false;
    ReadStolenExit(pidfd, note);
    if (::kill(-pid, 0) == 0) note->flags |= kGroupAlive;
    return true;
  }
  if (seen.si_pid == 0) return false;
  note->code = seen.si_code;
  note->status = seen.si_status;
  note->user_us = Micros(usage.ru_utime);
  note->system_us = Micros(usage.ru_stime);
  note->max_rss_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  note->flags |= kHasUsage;
  if (GroupOutlives(pid)) note->flags |= kGroupAlive;
  return true;
}

void ReapExited(int pidfd) { WaitPidfd(pidfd, nullptr, WEXITED | WNOHANG, nullptr); }

bool ReadChange(int pidfd, Note* note) {
  siginfo_t seen{};
  const int options = WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT;
  if (WaitPidfd(pidfd, &seen, options, nullptr) != 0 || seen.si_pid == 0) return false;
  note->kind = seen.si_code == CLD_CONTINUED ? NoteKind::kContinued : NoteKind::kStopped;
  note->status = seen.si_status;
  return true;
}

void TakeChange(int pidfd) { WaitPidfd(pidfd, nullptr, WSTOPPED | WCONTINUED | WNOHANG, nullptr); }

}  // namespace brood
