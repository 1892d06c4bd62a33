// SPDX-License-Identifier: Apache-2.0
//
// The child's half uses bare system calls: the sanitizers' and libc's versions
// keep accounts in memory, which a child between clone and exec shares with us.
#include "agent/parent/child_setup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "agent/parent/in_child.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/base/planted_bug.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

// Looked up here: a child must not.
const bool kClaims = !Planted(Bug::kNoStartSlot);

constexpr int kSignals = 64;  // The kernel's count; its sets are as many bits.

// The kernel's own struct; zero is the default action, no flags, nothing blocked.
struct KernelAction {
  unsigned long words[4];  // the first one is the handler
};

BROOD_IN_CHILD void ResetSignals(uint64_t signals) {
  const KernelAction action = {};
  for (int number = 1; number <= kSignals; ++number) {
    if ((signals >> (number - 1) & 1) == 0) continue;
    // KILL and STOP fail, as they should.
    ::syscall(SYS_rt_sigaction, number, &action, nullptr, sizeof(uint64_t));
  }
  // Only now: no handler of ours may run in the child.
  const uint64_t none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof(none));
}

BROOD_IN_CHILD bool Step(StartSlot* slot, ChildStep step, long result) {
  if (result >= 0) return true;
  NoteChildFailure(slot, step, errno);
  return false;
}

// Whoever writes "0" there enters the group. The descriptor is closed by exec, or with all others.
BROOD_IN_CHILD bool EnterGroup(StartSlot* slot, const char* group) {
  const long file = ::syscall(SYS_openat, AT_FDCWD, group, O_WRONLY | O_CLOEXEC);
  return Step(slot, ChildStep::kGroup, file) &&
         Step(slot, ChildStep::kGroup, ::syscall(SYS_write, file, "0", 1)) &&
         Step(slot, ChildStep::kGroup, ::syscall(SYS_close, file));
}

}  // namespace

std::vector<ChildLimit> ChildLimits(const internal::v1::StartJob& job, const rlimit& files) {
  std::vector<ChildLimit> limits;
  limits.reserve(1 + static_cast<size_t>(job.limits_size()));
  limits.push_back(ChildLimit{RLIMIT_NOFILE, files});
  for (const internal::v1::Limit& limit : job.limits()) {
    limits.push_back(ChildLimit{limit.resource(), rlimit{limit.value(), limit.value()}});
  }
  return limits;
}

std::vector<const char*> ChildGroups(const internal::v1::StartJob& job) {
  std::vector<const char*> groups;
  for (const std::string& group : job.groups()) groups.push_back(group.c_str());
  return groups;
}

std::string SetupSentence(const internal::v1::StartJob& job, const std::string& what,
                          ChildStep step, int error_number) {
  switch (step) {
    case ChildStep::kChdir:
      return ErrnoError(error_number,
                        "cannot enter the working directory '" + job.working_directory() + "'")
          .message;
    case ChildStep::kLimit:
      return ErrnoError(error_number, "cannot set the limits of " + what).message;
    case ChildStep::kGroup:
      return ErrnoError(error_number, what + " cannot enter the control group of its limits")
          .message;
    default:
      return ErrnoError(error_number,
                        "cannot start " + what + ", " + ChildStepName(step) + " failed")
          .message;
  }
}

uint64_t FindChangedSignals() {
  uint64_t changed = 0;
  for (int number = 1; number <= kSignals; ++number) {
    KernelAction action = {};
    ::syscall(SYS_rt_sigaction, number, nullptr, &action, sizeof(uint64_t));
    if (action.words[0] != 0) changed |= uint64_t{1} << (number - 1);
  }
  return changed;
}

ChildStep FindSetupFault(const internal::v1::StartJob& job, int* error_number) {
  for (const internal::v1::Limit& limit : job.limits()) {
    rlimit now{};
    *error_number = EPERM;
    if (::syscall(SYS_prlimit64, 0, limit.resource(), nullptr, &now) != 0) {
      *error_number = errno;
      return ChildStep::kLimit;
    }
    if (limit.value() > now.rlim_max && ::geteuid() != 0) return ChildStep::kLimit;
  }
  for (const std::string& group : job.groups()) {
    if (::access(group.c_str(), W_OK) == 0) continue;
    *error_number = errno;
    return ChildStep::kGroup;
  }
  if (job.working_directory().empty()) return ChildStep::kNone;
  const UniqueFd directory(
      ::open(job.working_directory().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (directory && ::faccessat(directory.get(), ".", X_OK, AT_EACCESS) == 0) {
    return ChildStep::kNone;
  }
  *error_number = errno;
  return ChildStep::kChdir;
}

BROOD_IN_CHILD void NoteChildFailure(StartSlot* slot, ChildStep step, int error_number) {
  slot->error_number = error_number;
  slot->failed_step = static_cast<uint32_t>(step);
}

BROOD_IN_CHILD bool SetUpChild(const ChildSetup& setup) {
  StartSlot* const slot = setup.slot;
  slot->pid = static_cast<int32_t>(::syscall(SYS_getpid));
  timespec now{};
  ::syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
  slot->start_ns = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  FailpointInChild("child.claim");
  // Without the library's atomics, which a sanitizer would see.
  uint32_t unclaimed = kUnclaimed;
  if (!__atomic_compare_exchange_n(&slot->claim, &unclaimed, kClaimedByChild, false,
                                   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) &&
      kClaims) {
    return false;  // Our parent has ended, and the agent believes that we never were.
  }
  FailpointInChild("child.claimed");

  // First: what the next steps take is the job's already, and no limit of descriptors is in the
  // way.
  for (size_t i = 0; i < setup.group_count; ++i) {
    if (!EnterGroup(slot, setup.groups[i])) return false;
  }
  if (!Step(slot, ChildStep::kSetsid, ::syscall(SYS_setsid))) return false;
  ResetSignals(setup.signals);
  if (!Step(slot, ChildStep::kDup, ::syscall(SYS_dup3, setup.input, 0, 0)) ||
      !Step(slot, ChildStep::kDup, ::syscall(SYS_dup3, setup.output, 1, 0)) ||
      !Step(slot, ChildStep::kDup, ::syscall(SYS_dup3, setup.error, 2, 0))) {
    return false;
  }
  for (size_t i = 0; i < setup.limit_count; ++i) {
    const ChildLimit& limit = setup.limits[i];
    if (!Step(slot, ChildStep::kLimit,
              ::syscall(SYS_prlimit64, 0, limit.resource, &limit.value, nullptr))) {
      return false;
    }
  }
  if (setup.directory != nullptr &&
      !Step(slot, ChildStep::kChdir, ::syscall(SYS_chdir, setup.directory))) {
    return false;
  }
  if (setup.sets_umask) ::syscall(SYS_umask, setup.umask);
  return true;
}

}  // namespace brood
