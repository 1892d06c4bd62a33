// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood {

// Waits for processes that are no children of our supervisor: those that another one, which has
// died, had started or adopted. Their ends are seen by pidfd; their statuses are what /proc tells
// of them before their new parent process has taken them away, or the kernel after that, or
// unknown. In the loop's thread.
class StrangerWatch {
 public:
  // Has the status as wait(2) has it; nothing: unknown.
  using Ended = std::function<void(std::optional<int> status)>;

  explicit StrangerWatch(EventLoop* loop) : loop_(loop) {}
  ~StrangerWatch();
  StrangerWatch(const StrangerWatch&) = delete;
  StrangerWatch& operator=(const StrangerWatch&) = delete;

  // False if that process is not there any more. Whom it watches already it does not watch again.
  bool Watch(pid_t pid, int64_t start_ns, Ended ended);

 private:
  struct Stranger {
    UniqueFd pidfd;
    Ended ended;
    int looks = 0;
    EventLoop::TimerId timer = 0;
  };
  // Pid and start: a pid may be another's while the status of the one before is still asked for.
  using Process = std::pair<pid_t, int64_t>;
  void Look(Process process);
  void LookLater(Process process);

  EventLoop* const loop_;
  std::map<Process, Stranger> strangers_;
};

}  // namespace brood
