// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>

#include <deque>
#include <memory>
#include <vector>

#include "agent/outbox/slot_file.h"
#include "agent/parent/call_threads.h"
#include "agent/parent/forked_call.h"
#include "agent/parent/gate.h"
#include "agent/parent/job_streams.h"
#include "agent/parent/notes.h"
#include "agent/parent/reaper.h"
#include "agent/parent/task_libraries.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/unique_fd.h"

namespace brood {

// Starts calls in forked children: copies of this process as it is now. Main thread.
class Forker {
 public:
  struct Parts {
    Notes* notes = nullptr;
    SlotFile* slots = nullptr;
    JobStreams* streams = nullptr;
    ProcessTable* processes = nullptr;
    Reaper* reaper = nullptr;
    CellStore* cells = nullptr;
    Gate* gate = nullptr;
    WatchWriter* watch = nullptr;
    CallThreads* threads = nullptr;
    const TaskLibraries* libraries = nullptr;
    rlimit files{};               // the descriptor limit of the jobs
    size_t environment_size = 0;  // about how many variables this process has
    int null_input = -1;          // /dev/null
    int doorbell = -1;            // write end
  };
  // Once all libraries are loaded, which may set signals' actions.
  explicit Forker(Parts parts);
  Forker(const Forker&) = delete;
  Forker& operator=(const Forker&) = delete;

  // Puts it in the line; StartWaiting starts those that there is a slot for.
  void Add(internal::v1::StartJob job) { waiting_.push_back(std::move(job)); }
  bool starved() const { return starved_; }
  void StartWaiting();

 private:
  std::unique_ptr<ForkedCall> Prepare();
  void Fork(ForkedCall* call);
  void Fail(const internal::v1::StartJob& job, std::string_view step, int error_number,
            std::string_view sentence);
  void FailPrepared(const ForkedCall& call, std::string_view step, int error_number,
                    std::string_view sentence);

  uint64_t ReadResidentBytes() const;

  const Parts parts_;
  const uint64_t page_bytes_;
  const uint64_t changed_signals_;  // once all libraries are loaded
  const UniqueFd memory_file_;      // /proc/self/statm: opened once, read before each fork
  std::deque<internal::v1::StartJob> waiting_;
  bool starved_ = false;  // no slot for the front
};

}  // namespace brood
