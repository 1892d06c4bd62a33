// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// One thread that waits for descriptors, timers and posted work, and calls back.
// All calls are for the loop's own thread (or before Run), except Post and Stop,
// which any thread may make.
class EventLoop {
 public:
  using Callback = std::function<void(uint32_t events)>;
  using Work = std::function<void()>;
  using TimerId = uint64_t;

  static Result<std::unique_ptr<EventLoop>> Create();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Watches for EPOLL… events (level-triggered unless EPOLLET is given). The
  // descriptor stays the caller's and must be removed before it is closed: a
  // child still between fork and exec may hold a copy that keeps the
  // registration alive.
  Status Add(int fd, uint32_t events, Callback callback);
  void Change(int fd, uint32_t events);
  void Remove(int fd);

  // Calls back once, at or after that time (CLOCK_BOOTTIME).
  TimerId At(BootTime when, Work work);
  void Cancel(TimerId timer);

  // Runs `work` in the loop's thread, in the order posted.
  void Post(Work work);

  // Called after each round of events, before waiting again: the place to send
  // what the round has gathered in one go.
  void AfterRound(Work work) { after_round_ = std::move(work); }

  // Runs until Stop.
  void Run();
  void Stop();

 private:
  EventLoop(UniqueFd epoll, UniqueFd wake);
  int WaitMilliseconds() const;
  void RunTimers();
  void RunPosted();

  UniqueFd epoll_;
  UniqueFd wake_;
  // Shared so that a callback may remove itself while it runs.
  std::unordered_map<int, std::shared_ptr<Callback>> callbacks_;
  // By time, then in the order in which they were set.
  std::map<std::pair<int64_t, TimerId>, Work> timers_;
  std::unordered_map<TimerId, int64_t> times_;  // of those
  TimerId next_timer_ = 1;
  Work after_round_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  std::vector<Work> posted_;  // guarded by mutex_
  bool stopped_ = false;      // guarded by mutex_
};

}  // namespace brood
