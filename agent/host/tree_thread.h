// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/core/effect.h"
#include "agent/process/cgroup.h"
#include "brood/v1/event.pb.h"

namespace brood {

// Looks that wait at once: each takes milliseconds, and any client may ask for one.
inline constexpr size_t kLooksMax = 16;

// Looks for, and ends, what is left of jobs' process trees: scans of /proc take
// milliseconds, so they have a thread of their own. One request at a time, in
// order; there is at most one for each job that is being ended. Looks that clients wait
// for come behind them: none delays an end by more than itself.
class TreeThread {
 public:
  using Done = std::function<void(uint64_t job_key, std::vector<v1::Unit> survivors)>;

  // `spared`: processes that are never signalled, whatever they look like (the
  // agent, the supervisor, parents); asked anew for each request. `done` is
  // called in this thread.
  // Trees end in control groups where this host has them, see KillTree.
  TreeThread(std::string host, std::string journal, std::function<std::vector<int>()> spared,
             Done done);
  ~TreeThread();

  bool has_cgroups() const { return cgroups_.has_value(); }

  void Add(TreeEffect request);
  // Another long look at /proc, called in this thread when no tree waits. False, and it is not
  // called, if kLooksMax wait already.
  bool AddLook(std::function<void()> look);

 private:
  void End(const TreeEffect& request);
  void Run();

  const std::string host_;
  const std::string journal_;
  std::optional<CgroupFolder> cgroups_;
  const std::function<std::vector<int>()> spared_;
  const Done done_;
  absl::Mutex mutex_;
  std::deque<TreeEffect> requests_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::function<void()>> looks_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace brood
