// SPDX-License-Identifier: Apache-2.0
#include <mutex>

#include "agent/tasks/demo.h"

namespace demo {
namespace {

// An ordinary lock of a library. brood is told of it, but cannot make it safe: a fork made
// while a thread holds it has a copy that nobody will ever unlock.
constinit std::mutex mutex;

}  // namespace

void AddLockTasks(brood::Library& library) {
  using brood::kSharesMemory;
  library.ShowMutex("mutex", mutex);
  library.Add(
      "mutex.hold", "locks the library's mutex for SECONDS", {"seconds"},
      [](brood::Job& job, double seconds) {
        const std::lock_guard lock(mutex);
        HoldFor(job, seconds);
      },
      kSharesMemory);
  library.Add(
      "mutex.lock",
      "locks the library's mutex and unlocks it; returns true, or never: a fork made while a "
      "thread holds it waits for ever",
      {}, [] {
        const std::lock_guard lock(mutex);
        return true;
      });
}

}  // namespace demo
