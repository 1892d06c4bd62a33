// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "agent/process/process_table.h"

namespace brood {

// What is known of a job whose processes are looked for.
struct JobRoot {
  pid_t pid =
      0;  // of its leader, which leads a session and a process group of its own; 0 if unknown
  int64_t start_ns = 0;  // CLOCK_BOOTTIME just after the leader's start; 0 if unknown
  std::string job_id;    // as in BROOD_JOB_ID; empty: not looked for
  std::string host;      // as in BROOD_HOST
  std::string journal;   // as in BROOD_JOURNAL: of which agent, where several have one host's name
};

// A leader that is gone began so long before its first act at most, when it first got a CPU: what
// is older than that is not looked at.
inline constexpr int64_t kFirstActNanosMax = 10'000'000'000;

// The living processes of a job, leader first, parents before their children:
//   - the leader, and all that descend from it;
//   - all of its session and its process group (their numbers are not given to
//     a new process while one member lives);
//   - all that were started with BROOD_JOB_ID, BROOD_HOST and BROOD_JOURNAL of the job;
//   - and all that descend from these.
// A process that left the session, dropped the environment and lost its parent
// before this looks is not found: only a cgroup holds those (cgroup.h).
// This process, pid 1, what is older than the job, and those of `excluded` (agent, supervisor,
// parents) are never in it, and neither is what descends from them alone.
std::vector<ProcessEntry> FindTree(const JobRoot& root, const std::set<pid_t>& excluded);

// The same in a given table; environments are still read from /proc.
std::vector<ProcessEntry> FindTreeIn(const std::vector<ProcessEntry>& table, const JobRoot& root,
                                     const std::set<pid_t>& excluded);

// Whether that process can be the root's leader.
bool IsLeader(const ProcessEntry& process, const JobRoot& root);

}  // namespace brood
