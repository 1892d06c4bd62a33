// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/parent/cell_store.h"
#include "agent/parent/job_streams.h"
#include "agent/parent/notes.h"
#include "agent/parent/task_libraries.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/event_loop.h"

namespace brood {

class ThreadCall;

// Runs calls on new threads of this process, each for itself. Their threads note
// start and end themselves, so that a call wakes nobody here. A task that asks for
// it runs on the main thread instead, once the round's other work is done. Main
// thread, but for what is said.
class CallThreads {
 public:
  CallThreads(EventLoop* loop, Notes* notes, JobStreams* streams, CellStore* cells,
              const TaskLibraries* libraries);
  ~CallThreads();
  CallThreads(const CallThreads&) = delete;
  CallThreads& operator=(const CallThreads&) = delete;

  void Start(internal::v1::StartJob job);

  // Sets the stop token; nothing if there is no such call.
  void RequestStop(uint64_t job_key);

  // Sets all stop tokens, and waits until nobody is left.
  void StopAll();

  // Whether a task has run on the main thread.
  bool ran_on_main_thread() const { return ran_on_main_thread_; }
  // Jobs that live as threads now. Any thread.
  uint32_t count() const { return count_.load(std::memory_order_relaxed); }

  // Some of them, with their threads; those that have just been created have none yet.
  struct Living {
    uint64_t job_key = 0;
    int32_t tid = 0;
  };
  std::vector<Living> FindLiving(size_t most);

  // The id of the job that is inside the gate, or "" if none is.
  std::string NameGateHolder();
  // "the job 'ID'", or "another job".
  std::string NameJob(uint64_t job_key);

 private:
  friend class ThreadCall;
  static void* RunThread(void* call);
  void RunOnMainThread(ThreadCall* call);
  // By the call's own thread, from its start to its end; `started` is called once it is noted.
  template <typename Started>
  void Run(ThreadCall* call, Started started);
  // By the call's own thread, last: forgets it.
  void Remove(ThreadCall* call);
  void RingForStarts();

  EventLoop* const loop_;
  Notes* const notes_;
  JobStreams* const streams_;
  CellStore* const cells_;
  const TaskLibraries* const libraries_;
  pthread_attr_t attributes_;

  std::mutex mutex_;
  std::unordered_map<uint64_t, std::unique_ptr<ThreadCall>> calls_;  // guarded by mutex_
  std::atomic<uint32_t> count_{0};

  bool ran_on_main_thread_ = false;
  // A STARTED is noted without a bell: the end's rings for both if it comes soon.
  uint64_t created_ = 0;            // threads created
  std::atomic<uint64_t> begun_{0};  // of them, those that have noted STARTED
  bool timer_armed_ = false;
};

}  // namespace brood
