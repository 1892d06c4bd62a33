// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/host/sequencer.h"
#include "agent/process/lone_wait.h"
#include "agent/process/process_table.h"

namespace brood {

// Looks at the processes of jobs while they live, on a thread of its own: what they have
// started, how much memory is theirs, and whether a forked call waits for a lock that nobody
// can open. All of it is read from /proc; jobs that end within kLookAfterNanos are never
// looked at. Tells the core.
class ProcessWatch {
 public:
  // `supervisor_pid`: whose children orphans become; asked anew for each scan.
  ProcessWatch(std::string host, std::string journal, Sequencer* sequencer,
               std::function<int()> supervisor_pid);
  ~ProcessWatch();
  ProcessWatch(const ProcessWatch&) = delete;
  ProcessWatch& operator=(const ProcessWatch&) = delete;

 private:
  using ProcessId = std::pair<pid_t, uint64_t>;  // pid, start in ticks
  struct Job {
    uint64_t key = 0;
    std::string id;
    pid_t pid = 0;
    int64_t start_ns = 0;
    bool may_be_stuck = false;
    int64_t kill_if_stuck_ns = 0;
    int64_t meter_ns = 0;
  };
  // What is remembered of a job between two looks.
  struct Memory {
    std::map<ProcessId, v1::Unit> descendants;
    int64_t metered_ns = 0;
    std::optional<LoneWait> wait;
    int64_t waits_since_ns = 0;
    bool suspected = false;
    bool killed = false;
  };

  void Run();
  std::vector<Job> FindJobs() const;
  void ReadMeter(const Job& job, Memory* memory);
  void LookIfStuck(const Job& job, Memory* memory);
  void ScanDescendants(const std::vector<Job>& jobs);
  void TellDescendants(const Job& job, const std::map<ProcessId, v1::Unit>& now, Memory* memory);

  const std::string host_;
  const std::string journal_;
  Sequencer* const sequencer_;
  const std::function<int()> supervisor_pid_;
  std::map<uint64_t, Memory> memories_;       // by job key; the thread's own
  std::map<ProcessId, std::string> orphans_;  // looked into once: the job that it names, or ""
  int64_t next_scan_ns_ = 0;

  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace brood
