// SPDX-License-Identifier: Apache-2.0
#include "agent/process/process_tree.h"

#include <unistd.h>

#include <map>

#include "common/base/process_life.h"

namespace brood {
namespace {

class TreeSearch {
 public:
  // `oldest_ns`: what started before is none of the job's.
  TreeSearch(const std::vector<ProcessEntry>& table, const std::set<pid_t>& excluded,
             int64_t oldest_ns)
      : table_(table), excluded_(excluded), oldest_ns_(oldest_ns) {
    for (const ProcessEntry& process : table) children_.emplace(process.ppid, &process);
  }

  // Takes the process, and all below it, unless it is barred.
  void Take(const ProcessEntry& process) {
    if (!Allowed(process) || !taken_.insert(process.pid).second) return;
    size_t next = found_.size();
    found_.push_back(process);
    for (; next < found_.size(); ++next) {
      const ProcessEntry parent = found_[next];
      const auto [first, last] = children_.equal_range(parent.pid);
      for (auto at = first; at != last; ++at) {
        const ProcessEntry& child = *at->second;
        // Older than its parent: the pid of one of them was given away while we read.
        if (child.start_ticks < parent.start_ticks || !Allowed(child)) continue;
        if (taken_.insert(child.pid).second) found_.push_back(child);
      }
    }
  }

  void TakeMembers(pid_t leader) {
    for (const ProcessEntry& process : table_) {
      if (process.session == leader || process.pgid == leader) Take(process);
    }
  }

  void TakeMarked(const JobRoot& root) {
    const std::string id = "BROOD_JOB_ID=" + root.job_id;
    const std::string host = "BROOD_HOST=" + root.host;
    const std::string journal = "BROOD_JOURNAL=" + root.journal;
    for (const ProcessEntry& process : table_) {
      if (!Allowed(process) || taken_.contains(process.pid)) continue;
      if (EnvironmentHas(process.pid, {id, host, journal})) Take(process);
    }
  }

  std::vector<ProcessEntry> Result() { return std::move(found_); }

 private:
  bool Allowed(const ProcessEntry& process) const {
    return process.alive() && process.start_ns() >= oldest_ns_ && process.pid > 1 &&
           process.pid != self_ && !excluded_.contains(process.pid);
  }

  const std::vector<ProcessEntry>& table_;
  const std::set<pid_t>& excluded_;
  const int64_t oldest_ns_;
  const pid_t self_ = ::getpid();
  std::multimap<pid_t, const ProcessEntry*> children_;  // by ppid
  std::set<pid_t> taken_;
  std::vector<ProcessEntry> found_;
};

const ProcessEntry* Find(const std::vector<ProcessEntry>& table, pid_t pid) {
  for (const ProcessEntry& process : table) {
    if (process.pid == pid) return &process;
  }
  return nullptr;
}

}  // namespace

bool IsLeader(const ProcessEntry& process, const JobRoot& root) {
  return root.start_ns != 0 && process.pid == root.pid &&
         LivedAt(process.start_ns(), INT64_MAX, root.start_ns);
}

std::vector<ProcessEntry> FindTreeIn(const std::vector<ProcessEntry>& table, const JobRoot& root,
                                     const std::set<pid_t>& excluded) {
  const ProcessEntry* const leader = Find(table, root.pid);
  // Spares most of a host's processes a look at their environment.
  int64_t oldest_ns = root.start_ns == 0 ? 0 : root.start_ns - kFirstActNanosMax;
  const bool leads = leader != nullptr && IsLeader(*leader, root);
  if (leads) oldest_ns = leader->start_ns();
  TreeSearch search(table, excluded, oldest_ns);
  if (root.pid > 1 && root.start_ns != 0 && !excluded.contains(root.pid)) {
    if (leads) search.Take(*leader);
    // If another process has its pid now, no member was left when it got it.
    if (leader == nullptr || leads) search.TakeMembers(root.pid);
  }
  if (!root.job_id.empty()) search.TakeMarked(root);
  return search.Result();
}

std::vector<ProcessEntry> FindTree(const JobRoot& root, const std::set<pid_t>& excluded) {
  return FindTreeIn(ReadProcessTable(), root, excluded);
}

}  // namespace brood
