// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/error.h"

namespace brood {

// A control group (version 2): all that its members start stays in it, whatever
// they do with sessions, environments and parents, and can be killed at once. The
// destructor leaves the group as it is.
class Cgroup {
 public:
  const std::string& path() const { return path_; }

  // Moves the process (all its threads) into the group.
  Status Add(pid_t pid) const;
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
  // Moves a process out of a group below into this folder's own.
  Status TakeBack(pid_t pid) const;

 private:
  explicit CgroupFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Removes the group of either version at that path, and the groups below it. UNAVAILABLE (EBUSY)
// while processes live in them; nothing to do where there is none.
Status RemoveGroups(const std::string& path);

// Removes what processes that have died left in that folder while they ended a tree or tried what
// they may do: groups brood-end-PID… and brood-probe-PID. Who lives is let be, and so is a group
// that somebody lives in.
void RemoveAbandonedGroups(const std::string& folder);

// A file of the kernel's, whole, and what is written to one at once.
Result<std::string> ReadControlFile(const std::string& path);
Status WriteControlFile(const std::string& path, const std::string& text);

// Switches the controllers on for groups below that version 2 group. Where its own processes are
// in the way, and it is this one alone, moves it into a group below, brood-agent. False if it
// cannot be done; then nothing has changed.
bool EnableControllers(const std::string& group, const std::vector<std::string>& controllers);

// The mount point and own group in the texts of /proc/self/mountinfo and
// /proc/self/cgroup, put together: of cgroup2, or of the version 1 hierarchy with
// that controller. Empty if there is none to be seen.
std::string OwnCgroupPath(const std::string& mounts, const std::string& groups,
                          const std::string& controller = "");

}  // namespace brood
