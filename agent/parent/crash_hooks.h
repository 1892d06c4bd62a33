// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include <cstddef>
#include <cstdint>

#include "agent/outbox/slot_file.h"

namespace brood {

// Says, when a parent is ended by one of its own threads, which job's it was:
// on SIGSEGV, SIGABRT, SIGBUS, SIGFPE and SIGILL, and when a task calls exit. The
// signal then does what it does by default. Forked children say nothing, and
// leave by _exit, so that the parent's exit functions do not run twice.
class CrashHooks {
 public:
  // Once, after the task libraries were loaded: exit functions run last in, first
  // out. `words` must stay mapped as long as the process lives.
  static void Install(LastWords* words);

  // In a job's thread, for its lifetime: the thread is this job's, and its
  // handlers have a stack even where its own has overflowed.
  class JobThread {
   public:
    JobThread(uint64_t job_key, void* stack, size_t size);
    ~JobThread();
    JobThread(const JobThread&) = delete;
    JobThread& operator=(const JobThread&) = delete;

   private:
    stack_t before_{};
  };
};

}  // namespace brood
