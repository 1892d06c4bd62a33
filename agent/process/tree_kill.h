// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <vector>

#include "agent/process/cgroup.h"
#include "agent/process/process_tree.h"

namespace brood {

// Rounds of one kill. Each ends a whole generation that stands still; a process
// that still lives after so many sleeps in the kernel or has other rights.
inline constexpr int kKillRoundsMax = 8;
// Scans of one round: until one finds nobody new. A stopped process cannot
// fork, so each scan can only find what was made before its parent stood still.
inline constexpr int kStopScansMax = 16;
// A scan can miss a process that forks and ends all the time; so many in a row
// that find nothing are believed.
inline constexpr int kQuietScans = 3;
// The same while the job's process group has members: some hundred milliseconds.
inline constexpr int kGroupScansMax = 100;
// How long a round waits for those it killed. Ends take milliseconds, with
// gigabytes of memory to free some hundred.
inline constexpr int64_t kKillWaitNanos = 250'000'000;

struct TreeKillLimits {
  int rounds = kKillRoundsMax;
  int64_t wait_ns = kKillWaitNanos;
};

struct TreeKilled {
  // Those that were sent SIGKILL, each once.
  std::vector<ProcessEntry> killed;
  // Those that live on.
  std::vector<ProcessEntry> survivors;
  int rounds = 0;
};

// Ends a job with all it has started: stops what it finds, looks again until
// nothing new appears, kills all, and repeats until none is found or the rounds
// are used up. With `cgroups` (may be null) what was found is moved into a control
// group of its own first, and killed there in one step: what it forks on the way is
// in it too. Without, what forks away faster than it can be looked at is caught in
// the job's process group, but not outside it. Signals go
// by pidfd after the start time was read again, so that never a process that
// took over a pid is hit; those to the group, when a member was just seen alive.
// Blocks: at most rounds x wait_ns, and the scans of /proc; any thread.
TreeKilled KillTree(const JobRoot& root, const std::set<pid_t>& excluded,
                    const CgroupFolder* cgroups = nullptr, const TreeKillLimits& limits = {});

// Sends a signal to that very process. ESRCH if it has ended, else errno; 0 if sent.
int SignalProcess(const ProcessEntry& process, int signal);

}  // namespace brood
