// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "tests/simulation/kernel.h"

namespace brood::simulation {

// A unix socket between two processes: what one has sent the other can read, in order, also once
// the sender is gone; when it looks is left to chance.
template <typename Down, typename Up>
class Wire {
 public:
  // `agent` sends down, `peer` sends up. Each is woken when there is something to read, or the end.
  Wire(Kernel* kernel, ProcessRef agent, ProcessRef peer)
      : kernel_(kernel), ends_{std::move(agent), std::move(peer)} {}

  std::function<void()> wake_agent;
  std::function<void()> wake_peer;

  void SendDown(Down message) {
    if (closed_) return;
    down_.push_back(std::move(message));
    WakePeer();
  }
  void SendUp(Up message) {
    if (closed_) return;
    up_.push_back(std::move(message));
    WakeAgent();
  }
  // By either.
  void Close() {
    if (std::exchange(closed_, true)) return;
    WakePeer();
    WakeAgent();
  }
  bool TakeDown(Down* message) { return Take(&down_, message); }
  bool TakeUp(Up* message) { return Take(&up_, message); }
  bool closed() const { return closed_; }

 private:
  template <typename Message>
  static bool Take(std::deque<Message>* messages, Message* message) {
    if (messages->empty()) return false;
    *message = std::move(messages->front());
    messages->pop_front();
    return true;
  }
  void WakePeer() { Wake(1, &wake_peer); }
  void WakeAgent() { Wake(0, &wake_agent); }
  void Wake(int end, const std::function<void()>* wake) {
    // Who is gone has no use for it; a copy, as the wire may be gone by then.
    if (!ends_[end]->alive || !*wake) return;
    kernel_->At(ends_[end], kernel_->random().Delay(2'000), *wake);
  }

  Kernel* const kernel_;
  const ProcessRef ends_[2];
  std::deque<Down> down_;
  std::deque<Up> up_;
  bool closed_ = false;
};

}  // namespace brood::simulation
