// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <string>

#include "agent/tasks/demo.h"

namespace demo {
namespace {

// An ordinary lock of a library. brood is told of it, but cannot make it safe: a fork made
// while a thread holds it has a copy that nobody will ever unlock.
constinit std::mutex mutex;

// A function of the C library that takes a lock of its own, which nobody can see.
using LibraryCall = void (*)();

LibraryCall FindLibraryCall(const std::string& function) {
  if (function.compare("rand") == 0) return [] { static_cast<void>(std::rand()); };
  if (function.compare("setenv") == 0) return [] { ::setenv("BROOD_DEMO", "1", 1); };
  throw brood::TaskError("FUNCTION cannot be '" + function + "'; it must be rand or setenv");
}

// So often that a fork made meanwhile is likely to copy the lock while it is held.
void Hammer(brood::Job& job, std::string function, double seconds) {
  constexpr int kCallsPerLook = 10'000;
  const LibraryCall call = FindLibraryCall(function);
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < kCallsPerLook; ++i) call();
    job.Progress(0, "calling " + function);
    job.ThrowIfStopped();
  }
}

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
  library.Add(
      "hammer",
      "calls FUNCTION (rand or setenv), which takes a lock of the C library, all the time for "
      "SECONDS",
      {"function", "seconds"}, Hammer, kSharesMemory);
  library.Add(
      "touch",
      "calls FUNCTION (rand or setenv) once; as a fork made beside demo.hammer it may wait for "
      "ever",
      {"function"}, [](std::string function) { FindLibraryCall(function)(); });
}

}  // namespace demo
