// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/parent_end.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "agent/parent/limits.h"

namespace brood {
namespace {

void* WaitAndLeave(void* /*unused*/) {
  const timespec wait{kEndDeadlineNanos / 1'000'000'000, kEndDeadlineNanos % 1'000'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, nullptr);
  std::fputs("brood-parent: did not end in time; leaving at once\n", stderr);
  ::_exit(kEndDeadlineStatus);
}

}  // namespace

void ArmEndDeadline() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kThreadStackBytes);
  pthread_t thread;
  const int failed = pthread_create(&thread, &attributes, WaitAndLeave, nullptr);
  pthread_attr_destroy(&attributes);
  // Without a thread the kernel's clock does it, by SIGALRM.
  if (failed != 0) ::alarm(static_cast<unsigned>(kEndDeadlineNanos / 1'000'000'000));
}

void LeaveBy(ParentEnd how) {
  if (how == ParentEnd::kExit) std::exit(0);
  if (how == ParentEnd::kAbort) std::abort();
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

}  // namespace brood
