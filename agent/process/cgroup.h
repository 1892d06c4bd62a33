// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// A control group (version 2) for one job: all that the job starts stays in it,
// whatever it does with sessions, environments and parents, and can be killed
// at once. The destructor leaves the group as it is.
class Cgroup {
 public:
  const std::string& path() const { return path_; }

  // Moves the process (all its threads) into the group.
  Status Add(pid_t pid) const;
  // cgroup.procs, open for writing: a process that writes "0" there moves itself.
  Result<UniqueFd> OpenProcesses() const;
  // The pids in it, groups below not included.
  Result<std::vector<pid_t>> Processes() const;
  // SIGKILL to all in it and below it, in one step against which no fork races.
  Status Kill() const;
  // Waits until no process is left in it or below it. False if some were left then.
  Result<bool> WaitEmpty(int64_t wait_ns) const;
  // Removes it and the groups below it. UNAVAILABLE (EBUSY) while processes live in it.
  Status Remove() const;

 private:
  friend class CgroupFolder;
  explicit Cgroup(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The folder in the cgroup2 tree in which this process may make groups.
class CgroupFolder {
 public:
  // The process's own group, if cgroup2 is mounted and groups can be made and
  // killed in it (kernel >= 5.14); tried by making and removing one. Else
  // FAILED_PRECONDITION with the reason in a sentence.
  static Result<CgroupFolder> Detect();

  const std::string& path() const { return path_; }

  // Makes a group. `name` is [A-Za-z0-9._-]{1,200}, not starting with a dot.
  Result<Cgroup> Make(const std::string& name) const;
  // One that an earlier process made. NOT_FOUND if it is not there.
  Result<Cgroup> Find(const std::string& name) const;

 private:
  explicit CgroupFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The mount point and own group in the texts of /proc/self/mountinfo and
// /proc/self/cgroup, put together; empty if there is no cgroup2 to be seen.
std::string OwnCgroupPath(const std::string& mounts, const std::string& groups);

// How whole trees are ended on this host, for GetHost: "cgroup" or "scan".
const char* TreeControlName();

}  // namespace brood
