// SPDX-License-Identifier: Apache-2.0
//
// Facts that the host's processes noted, checked and translated by the adapters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "brood/v1/event.pb.h"

namespace brood {

struct StartedFact {
  uint64_t job_key = 0;
  uint32_t attempt = 0;
  int32_t pid = 0;
  int32_t tid = 0;
  int32_t ppid = 0;
  int32_t pgid = 0;
  int64_t start_ns = 0;
  int64_t fork_ns = 0;
  int64_t gate_wait_ns = 0;
  uint32_t threads_at_fork = 0;
  uint64_t memory_bytes = 0;  // of the parent, at a fork; 0: not known
  std::vector<v1::Hazard> hazards;
  uint32_t slot = UINT32_MAX;
  v1::Evidence evidence = v1::EVIDENCE_SEEN;
};

struct FailedFact {
  uint64_t job_key = 0;
  uint32_t attempt = 0;
  std::string step;
  int32_t error_number = 0;
  std::string message;
};

// A wait status, as seen by the one who waited.
struct WaitStatus {
  std::optional<int32_t> exit_code;  // neither: unknown
  std::optional<int32_t> signal;
  bool core_dumped = false;
  bool memory_limit_hit = false;  // the kernel killed in its control group
  std::optional<v1::ResourceUsage> usage;
};

// What a call came to.
struct CallResult {
  std::optional<v1::Value> returned;
  std::optional<std::string> threw;
  bool stopped = false;
};

// What a call reports while it runs.
struct CallProgress {
  int64_t boot_ns = 0;  // CLOCK_BOOTTIME
  double fraction = 0;
  std::string text;
};

struct ExitedFact {
  uint64_t job_key = 0;
  WaitStatus status;
  std::optional<CallResult> result;      // of a forked call that came to its end
  std::optional<CallProgress> progress;  // the last that a forked call reported
  bool group_alive = false;
  v1::Observer observer = v1::OBSERVER_PARENT;
};

// Its parent process is another one since its parent has ended.
struct ReparentedFact {
  uint64_t job_key = 0;
  int32_t new_ppid = 0;
  std::string adopter;  // the name of that process; empty: not known
  v1::Observer observer = v1::OBSERVER_AGENT;
};

struct ThreadEndedFact {
  uint64_t job_key = 0;
  CallResult result;
};

// A forked call waits for a lock that nobody can open.
struct StuckFact {
  uint64_t job_key = 0;
  uint64_t futex_address = 0;
  int32_t owner_tid = 0;  // what stands where a mutex records its owner; may be anything
  int64_t waited_ns = 0;
};

// A watched cell was written.
struct MemoryFact {
  uint64_t job_key = 0;  // of the writer
  v1::Memory memory;
  v1::Evidence evidence = v1::EVIDENCE_REPORTED;
};

struct SignalledFact {
  uint64_t job_key = 0;
  int32_t signal = 0;
  bool whole_group = false;
  int32_t error_number = 0;
};

struct ParentEndFact {
  WaitStatus status;
  uint64_t culprit_job_key = 0;  // 0: unknown
  v1::Observer observer = v1::OBSERVER_SUPERVISOR;
};

struct OrphanFact {
  uint64_t job_key = 0;  // 0: whose process it was is not known
  int32_t pid = 0;
  // CLOCK_BOOTTIME: of its start, to 10 ms, as /proc has it, and when it was waited for. Of a known
  // job's: when it was seen to be there, as in its STARTED.
  int64_t start_ns = 0;
  int64_t end_ns = INT64_MAX;
  WaitStatus status;
  // Who waited for it, and so is its parent process by now.
  int32_t waiter_pid = 0;
  std::string waiter;
  // Of the forked call in that process, if the adapter could read one.
  std::optional<CallResult> result;
  std::optional<CallProgress> progress;
};

}  // namespace brood
