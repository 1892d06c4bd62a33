// SPDX-License-Identifier: Apache-2.0
//
// The children's half runs in memory that a child may share with its parent: bare system calls, no
// sanitizer's accounts.
#include "common/base/failpoint.h"

#ifdef BROOD_FAILPOINTS

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>

#include "common/base/failpoint_table.h"
#include "common/base/unique_fd.h"

#define BROOD_BARE __attribute__((no_sanitize("address", "thread", "undefined")))

namespace brood {
namespace {

FailpointTable* Map() {
  const char* const path = std::getenv("BROOD_FAILPOINTS");
  if (path == nullptr) return nullptr;
  const UniqueFd fd(::open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return nullptr;
  void* const mapped =
      ::mmap(nullptr, sizeof(FailpointTable), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  return mapped == MAP_FAILED ? nullptr : static_cast<FailpointTable*>(mapped);
}

// Before main, since a point may be anywhere.
FailpointTable* const g_table = Map();
const long g_owner = ::getpid();
const char* const g_program = program_invocation_short_name;

BROOD_BARE bool Same(const char* left, const char* right) {
  while (*left != '\0' && *left == *right) {
    ++left;
    ++right;
  }
  return *left == *right;
}

// The armed point whose turn it is, if this is one.
BROOD_BARE ArmedFailpoint* TakeTurn(const char* name) {
  if (g_table == nullptr) return nullptr;
  for (ArmedFailpoint& point : g_table->points) {
    if (__atomic_load_n(&point.hits_left, __ATOMIC_ACQUIRE) <= 0) continue;
    if (!Same(point.name, name) || !Same(point.program, g_program)) continue;
    if (__atomic_sub_fetch(&point.hits_left, 1, __ATOMIC_ACQ_REL) != 0) continue;
    __atomic_add_fetch(&point.fired, 1, __ATOMIC_ACQ_REL);
    return &point;
  }
  return nullptr;
}

BROOD_BARE void Wait(int32_t milliseconds) {
  const timespec time{milliseconds / 1'000, int64_t{milliseconds % 1'000} * 1'000'000};
  ::syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, nullptr);
}

void DieOrWait(const ArmedFailpoint& point) {
  if (point.action == FailAction::kDelay || point.action == FailAction::kKill) Wait(point.argument);
  if (point.action != FailAction::kKill) return;
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

bool IsChild() { return ::getpid() != g_owner; }

}  // namespace

void Failpoint(const char* name) {
  if (IsChild()) return;
  const ArmedFailpoint* const point = TakeTurn(name);
  if (point != nullptr) DieOrWait(*point);
}

bool FailsAt(const char* name, size_t* size) {
  if (IsChild()) return false;
  ArmedFailpoint* const point = TakeTurn(name);
  if (point == nullptr) return false;
  DieOrWait(*point);
  if (point->action == FailAction::kError) {
    errno = point->argument;
    return true;
  }
  const bool torn = point->action == FailAction::kTorn;
  if (size != nullptr && (torn || point->action == FailAction::kShort))
    *size = std::max<size_t>(1, *size / 2);
  if (torn) {
    point->action = FailAction::kKill;
    __atomic_store_n(&point->hits_left, 1, __ATOMIC_RELEASE);
  }
  return false;
}

BROOD_BARE void FailpointInChild(const char* name) {
  const ArmedFailpoint* const point = TakeTurn(name);
  if (point == nullptr) return;
  if (point->action == FailAction::kKill) {
    ::syscall(SYS_kill, g_owner, SIGKILL);
    while (::syscall(SYS_getppid) == g_owner) ::syscall(SYS_sched_yield);
  }
  Wait(point->argument);
}

}  // namespace brood

#endif  // BROOD_FAILPOINTS
