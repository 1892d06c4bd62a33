// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <functional>
#include <memory>

#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood::cli {

// SIGINT, SIGTERM and SIGHUP as calls in a loop's thread, as long as this lives; then as
// before. Those that the process was started to ignore (nohup) stay ignored. Make it
// before any other thread: threads inherit what is blocked.
class SignalSource {
 public:
  enum class Pipe { kIgnore, kDie };
  // kIgnore: writing to a closed pipe is an error, no signal.
  static Result<std::unique_ptr<SignalSource>> Create(Pipe pipe);
  ~SignalSource();
  SignalSource(const SignalSource&) = delete;
  SignalSource& operator=(const SignalSource&) = delete;

  // Calls `received` for each signal while the loop runs, until Detach.
  Status Attach(EventLoop& loop, std::function<void(int signal)> received);
  // Before the loop goes. Signals that come now wait until this is gone.
  void Detach();

 private:
  explicit SignalSource(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  EventLoop* loop_ = nullptr;
  sigset_t old_mask_;
  struct sigaction old_pipe_;
};

// Ends this process by the signal, as if it had never been caught, so that shells and
// scripts see it. Returns 128 + signal if the process survives that.
int DieOf(int signal);

}  // namespace brood::cli
