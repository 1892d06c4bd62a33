// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/error.h"

namespace brood {

// The control groups (version 2 or 1) that hold jobs to limits of all their processes together.
// They are made below the agent's own group, and are named brood-OWNER-KEY, so that the next agent
// on the same state finds them, wherever it runs itself: `record` is a file with the folders in
// which there may be some. Thread-safe.
class LimitGroups {
 public:
  // Looks what this process may use, trying it out, and for groups that are there already. `owner`:
  // [A-Za-z0-9], for ever that of this state.
  LimitGroups(std::string owner, std::string record);
  LimitGroups(const LimitGroups&) = delete;
  LimitGroups& operator=(const LimitGroups&) = delete;

  // "cgroup2", "cgroup1"; "" if neither memory nor processes can be bounded.
  std::string controllers() const;
  bool bounds_memory() const { return !memory_folder_.empty(); }
  bool bounds_processes() const { return !process_folder_.empty(); }

  struct Limits {
    std::optional<uint64_t> memory_bytes;  // with swap, where the kernel counts it
    std::optional<uint64_t> processes;     // threads included
  };
  // Makes the groups of a job, or takes those of an earlier attempt; the cgroup.procs files that
  // its process has to write "0" to.
  Result<std::vector<std::string>> Make(uint64_t job_key, const Limits& limits);

  // The kernel has killed a process of that job because its memory limit was reached.
  bool WasOutOfMemory(uint64_t job_key) const;

  // The jobs that may have groups, those of earlier agents too.
  std::vector<uint64_t> jobs() const;
  // Removes the groups of jobs that have ended. False if some are left: processes live in them.
  bool Remove(const std::vector<uint64_t>& ended);

 private:
  void FindVersion2(const std::string& own);
  void FindEarlier();
  Status Record(const std::string& folder);
  std::string Name(uint64_t job_key) const { return prefix_ + std::to_string(job_key); }

  const std::string prefix_;  // of the groups' names
  const std::string record_;
  bool version2_ = false;
  std::string memory_folder_;  // empty: cannot be bounded
  std::string process_folder_;

  mutable std::mutex mutex_;
  std::set<std::string> folders_;  // recorded: where there may be groups
  std::set<uint64_t> jobs_;        // that may have groups
};

// The kernel has killed a process of that group, or below it, because the limit of the group's own
// memory was reached.
bool WasKilledAtLimit(const std::string& group);

}  // namespace brood
