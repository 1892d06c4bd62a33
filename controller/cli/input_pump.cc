// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/input_pump.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace brood::cli {
namespace {

// The most that one WriteInput message holds.
constexpr size_t kPieceBytes = 64 << 10;

}  // namespace

InputPump::InputPump(EventLoop& loop, FanOut& fan_out, int in_fd, size_t hosts)
    : loop_(loop), fan_out_(fan_out), fd_(in_fd), undecided_(hosts) {}

InputPump::~InputPump() {
  if (waiting_) loop_.Remove(fd_);
}

void InputPump::AddJob(size_t host, const std::string& job_id) {
  if (decided_.emplace(host, true).second) {
    --undecided_;
    targets_[host].job_id = job_id;
  }
  Proceed();
}

void InputPump::GiveUp(size_t host) {
  if (decided_.emplace(host, false).second) --undecided_;
  targets_.erase(host);
  Proceed();
}

void InputPump::OnTaken(size_t host, bool open) {
  if (!open) {
    targets_.erase(host);
  } else if (const auto target = targets_.find(host); target != targets_.end()) {
    target->second.busy = false;
  }
  Proceed();
}

// Waits for the next bytes, if it is time for them.
void InputPump::Proceed() {
  const bool busy = std::any_of(targets_.begin(), targets_.end(),
                                [](const auto& entry) { return entry.second.busy; });
  const bool wanted = !end_ && undecided_ == 0 && !busy && !targets_.empty();
  if (wanted == waiting_) return;
  if (!wanted) {
    loop_.Remove(fd_);
    waiting_ = false;
    return;
  }
  const Status added = loop_.Add(fd_, EPOLLIN, [this](uint32_t) { Read(); });
  if (added) {
    // A file or /dev/null: epoll does not take them, and reading never waits.
    Read();
  } else {
    waiting_ = true;
  }
}

void InputPump::Read() {
  if (waiting_) loop_.Remove(fd_);
  waiting_ = false;
  std::string bytes(kPieceBytes, '\0');
  const ssize_t size = ::read(fd_, bytes.data(), bytes.size());
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
    // Came for nothing; wait for the next time.
    Proceed();
    return;
  }
  // An input that cannot be read is an empty one, as for any program.
  bytes.resize(size > 0 ? static_cast<size_t>(size) : 0);
  end_ = bytes.empty();
  for (auto& [host, target] : targets_) {
    target.busy = true;
    fan_out_.WriteInput(host, target.job_id, bytes);
  }
}

}  // namespace brood::cli
