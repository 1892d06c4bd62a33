// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/launch_child.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "agent/parent/in_child.h"
#include "agent/parent/limits.h"
#include "common/base/failpoint.h"

// glibc's own name for clone. The sanitizers take over the other one as if it were
// fork, and would set up accounts for the child in the memory that it shares with us.
extern "C" int __clone(int (*run)(void*), void* stack, int flags, void* argument, ...);

namespace brood {
namespace {

BROOD_IN_CHILD int RunChild(void* argument) {
  const ExecPointers& plan = *static_cast<const ExecPointers*>(argument);
  if (SetUpChild(plan.setup)) {
    FailpointInChild("child.exec");
    const int failed = ExecuteInChild(plan);
    NoteChildFailure(plan.setup.slot, ChildStep::kExec, failed);
  }
  ::syscall(SYS_exit_group, 127);
  return 127;
}

}  // namespace

Result<std::unique_ptr<ChildLauncher>> ChildLauncher::Create() {
  void* const stack = ::mmap(nullptr, kChildStackBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return ErrnoError(errno, "mmap of a child's stack");
  return std::unique_ptr<ChildLauncher>(new ChildLauncher(static_cast<char*>(stack)));
}

ChildLauncher::~ChildLauncher() { ::munmap(stack_, kChildStackBytes); }

LaunchedChild ChildLauncher::Launch(const ExecPointers& plan) {
  LaunchedChild child;
  // No handler of ours may run in the child; all 64 signals, glibc's own two included.
  const uint64_t all = ~uint64_t{0};
  uint64_t before = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all));
  int pidfd = -1;
  // As vfork, but on a stack of its own, so that the child cannot spoil a frame that we return
  // through, and with a pidfd from the very start.
  child.pid = FailsAt("command.clone") ? -1
                                       : ::__clone(RunChild, stack_ + kChildStackBytes,
                                                   CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                                                   const_cast<ExecPointers*>(&plan), &pidfd);
  child.error_number = errno;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, sizeof(before));
  if (child.pid > 0) child.pidfd.reset(pidfd);
  return child;
}

}  // namespace brood
