// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/signal_source.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/job/exit_code.h"

namespace brood::cli {

Result<std::unique_ptr<SignalSource>> SignalSource::Create(Pipe pipe) {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&mask, signal);
  UniqueFd fd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return ErrnoError(errno, "open a signalfd");
  auto source = std::unique_ptr<SignalSource>(new SignalSource(std::move(fd)));
  ::pthread_sigmask(SIG_BLOCK, &mask, &source->old_mask_);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, pipe == Pipe::kIgnore ? &ignore : nullptr, &source->old_pipe_);
  return source;
}

SignalSource::~SignalSource() {
  Detach();
  ::sigaction(SIGPIPE, &old_pipe_, nullptr);
  ::pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

Status SignalSource::Attach(EventLoop& loop, std::function<void(int signal)> received) {
  loop_ = &loop;
  return loop.Add(fd_.get(), EPOLLIN, [fd = fd_.get(), received = std::move(received)](uint32_t) {
    signalfd_siginfo signal;
    while (::read(fd, &signal, sizeof(signal)) == sizeof(signal)) {
      received(static_cast<int>(signal.ssi_signo));
    }
  });
}

void SignalSource::Detach() {
  if (loop_ != nullptr) loop_->Remove(fd_.get());
  loop_ = nullptr;
}

int DieOf(int signal) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &mask, nullptr);
  ::raise(signal);
  return kExitSignalBase + signal;
}

}  // namespace brood::cli
