// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "common/base/unique_fd.h"

namespace brood {

// A job that is a process of its own.
struct ProcessJob {
  uint64_t job_key = 0;
  uint32_t attempt = 0;
  uint32_t slot = 0;
  pid_t pid = 0;
  UniqueFd pidfd;
  // The main thread's alone from here on.
  bool ended = false;    // its end is noted and it is reaped
  bool drained = false;  // the agent is done with it
};

// The processes of this parent, from their start until they have ended and the
// agent is done with them. Thread-safe; only the main thread removes.
class ProcessTable {
 public:
  // `note_start` tells the agent of it, under the lock: no stop may be noted before its start,
  // and no signal that answers the start may miss it.
  ProcessJob* Add(std::unique_ptr<ProcessJob> job, const std::function<void()>& note_start);
  // Null if there is none.
  ProcessJob* Find(uint64_t job_key);
  void Remove(uint64_t job_key);
  void ForEach(const std::function<void(ProcessJob*)>& visit);

 private:
  std::mutex mutex_;
  std::unordered_map<uint64_t, std::unique_ptr<ProcessJob>> jobs_;  // guarded by mutex_
};

}  // namespace brood
