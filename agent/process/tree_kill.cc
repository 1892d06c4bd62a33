// SPDX-License-Identifier: Apache-2.0
#include "agent/process/tree_kill.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/planted_bug.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

// A pidfd of that very process, or an empty one with errno.
UniqueFd OpenProcess(const ProcessEntry& process) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!fd) return fd;
  // Read again now that the descriptor holds one process fast.
  const std::optional<ProcessEntry> now = ReadProcess(process.pid);
  if (now && (now->same(process) || Planted(Bug::kKillByPid))) return fd;
  errno = ESRCH;
  return UniqueFd();
}

int SendSignal(const UniqueFd& process, int signal) {
  return ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) == 0 ? 0 : errno;
}

// A round's processes, each held by a pidfd.
class Held {
 public:
  // Takes and stops those not held yet. How many they were.
  size_t Stop(const std::vector<ProcessEntry>& found) {
    size_t count = 0;
    for (const ProcessEntry& process : found) {
      const auto key = std::make_pair(process.pid, process.start_ticks);
      if (processes_.contains(key)) continue;
      UniqueFd fd = OpenProcess(process);
      if (!fd) continue;
      SendSignal(fd, SIGSTOP);
      processes_.emplace(key, std::make_pair(process, std::move(fd)));
      ++count;
    }
    return count;
  }

  size_t size() const { return processes_.size(); }

  // Moves all into the group.
  void Gather(const Cgroup& group, const CgroupFolder& home) {
    for (const auto& [key, held] : processes_) {
      if (group.Add(key.first)) continue;
      // It is held, but may have been killed and reaped by others: then its pid may be another's,
      // who goes back.
      if (SendSignal(held.second, 0) == ESRCH) (void)home.TakeBack(key.first);
    }
  }

  void Kill(std::vector<ProcessEntry>* killed) {
    for (const auto& [key, held] : processes_) {
      if (SendSignal(held.second, SIGKILL) != 0) continue;
      const ProcessEntry& process = held.first;
      const bool known = std::any_of(killed->begin(), killed->end(),
                                     [&process](const auto& one) { return one.same(process); });
      if (!known) killed->push_back(process);
    }
  }

  // A pidfd is readable once its process has ended, reaped or not.
  void WaitForEnds(int64_t wait_ns) {
    const int64_t deadline = BootTimeNanos() + wait_ns;
    for (const auto& [key, held] : processes_) {
      const int64_t left = std::max<int64_t>(0, deadline - BootTimeNanos());
      pollfd waited{held.second.get(), POLLIN, 0};
      ::poll(&waited, 1, static_cast<int>((left + 999'999) / 1'000'000));
    }
  }

 private:
  std::map<std::pair<pid_t, uint64_t>, std::pair<ProcessEntry, UniqueFd>> processes_;
};

// To the job's process group, if `found` has one of it. Its number stays the
// group's as long as one member lives, and one was alive in the scan just made.
bool SignalGroup(const JobRoot& root, const std::vector<ProcessEntry>& found,
                 const std::set<pid_t>& excluded, int signal) {
  const bool seen = std::any_of(found.begin(), found.end(), [&](const ProcessEntry& process) {
    return process.pgid == root.pid;
  });
  if (!seen || root.pid <= 1 || ::getpgrp() == root.pid) return false;
  for (const pid_t spared : excluded) {
    if (::getpgid(spared) == root.pid) return false;
  }
  return ::kill(-root.pid, signal) == 0;
}

// A control group for one tree's end; none where it cannot be made.
class EndGroup {
 public:
  explicit EndGroup(const CgroupFolder* home) : home_(home) {}
  ~EndGroup() {
    if (!group_) return;
    (void)group_->WaitEmpty(kKillWaitNanos);
    // With survivors in it, it stays.
    (void)group_->Remove();
  }
  EndGroup(const EndGroup&) = delete;
  EndGroup& operator=(const EndGroup&) = delete;

  void Kill(Held* held) {
    // A single process that stands still can start nothing, and the first move into a new group
    // takes some ten milliseconds: the kernel waits for all its CPUs.
    if (home_ == nullptr || held->size() < 2) return;
    if (!group_) {
      Result<Cgroup> made = home_->Make("brood-end-" + std::to_string(::getpid()) + "-" +
                                        std::to_string(BootTimeNanos()));
      if (!made) return;
      group_ = *std::move(made);
    }
    held->Gather(*group_, *home_);
    (void)group_->Kill();
  }

 private:
  const CgroupFolder* const home_;
  std::optional<Cgroup> group_;
};

std::vector<ProcessEntry> FindWithPatience(const JobRoot& root, const std::set<pid_t>& excluded) {
  for (int scan = 1;; ++scan) {
    std::vector<ProcessEntry> found = FindTree(root, excluded);
    if (!found.empty()) return found;
    // A group that has members nobody finds is one that forks away: look longer.
    const bool group = root.pid > 1 && ::getpgrp() != root.pid && ::kill(-root.pid, 0) == 0;
    if (scan >= (group ? kGroupScansMax : kQuietScans)) return found;
  }
}

}  // namespace

int SignalProcess(const ProcessEntry& process, int signal) {
  const UniqueFd fd = OpenProcess(process);
  return fd ? SendSignal(fd, signal) : errno;
}

TreeKilled KillTree(const JobRoot& root, const std::set<pid_t>& excluded,
                    const CgroupFolder* cgroups, const TreeKillLimits& limits) {
  TreeKilled result;
  EndGroup end_group(cgroups);
  for (; result.rounds < limits.rounds; ++result.rounds) {
    std::vector<ProcessEntry> found = FindWithPatience(root, excluded);
    if (found.empty()) return result;
    Held held;
    bool group = false;
    for (int scan = 0; scan < kStopScansMax; ++scan) {
      // Nobody forks away from a stopped group, however fast.
      const bool more = SignalGroup(root, found, excluded, SIGSTOP) && !group;
      group = group || more;
      if (held.Stop(found) == 0 && !more) break;
      found = FindTree(root, excluded);
    }
    Failpoint("tree.stopped");
    end_group.Kill(&held);
    held.Kill(&result.killed);
    SignalGroup(root, found, excluded, SIGKILL);
    held.WaitForEnds(limits.wait_ns);
  }
  result.survivors = FindTree(root, excluded);
  return result;
}

}  // namespace brood
