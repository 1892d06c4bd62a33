// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "common/base/event_loop.h"

namespace brood::cli {

// Writes bytes to descriptors in a thread of its own, in the order given, so that a
// reader that does not read (a pager, a stopped terminal) does not stop the loop.
// Everything but that thread is for the loop's own.
class OutputQueue {
 public:
  // From here on the sources are to pause; below a quarter of it they may go on.
  static constexpr size_t kHighBytes = 1 << 20;

  // `drained`: fewer than kHighBytes / 4 are left, after there were more; or none is
  // left. `failed`: a write failed with this errno; what is queued for the descriptor,
  // and all that comes, is thrown away. Both are called in the loop's thread.
  OutputQueue(EventLoop& loop, std::function<void()> drained,
              std::function<void(int fd, int error_number)> failed);
  // Does not wait: what is not written by now may be lost.
  ~OutputQueue();
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;

  // Queues bytes; the descriptor stays the caller's.
  void Write(int fd, std::string bytes);
  // Nothing is waiting or being written.
  bool Idle() const;
  bool Full() const;

 private:
  struct State;
  static void WriteAll(const std::shared_ptr<State>& state);
  // Shared with the thread, which may be stuck in a write for ever.
  const std::shared_ptr<State> state_;
};

}  // namespace brood::cli
