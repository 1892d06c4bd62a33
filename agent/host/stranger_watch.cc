// SPDX-License-Identifier: Apache-2.0
#include "agent/host/stranger_watch.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "agent/process/process_table.h"
#include "common/base/clock.h"
#include "common/base/pidfd_status.h"
#include "common/base/planted_bug.h"

namespace brood {
namespace {

// Of a zombie that we may not look at, the kernel tells the status once an init has taken it away,
// which is at once; one that does not in this time never will, or the kernel is older than the
// question.
constexpr int64_t kLookNanos = 20'000'000;
constexpr int kLooks = 50;

}  // namespace

StrangerWatch::~StrangerWatch() {
  for (auto& [process, stranger] : strangers_) {
    if (stranger.timer != 0) {
      loop_->Cancel(stranger.timer);
    } else {
      loop_->Remove(stranger.pidfd.get());
    }
  }
}

bool StrangerWatch::Watch(pid_t pid, int64_t start_ns, Ended ended) {
  const Process process{pid, start_ns};
  if (strangers_.count(process) > 0) return true;
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  // Looked at after it was opened: from here on it cannot become another one's.
  if (!pidfd || !IsSameProcess(pid, start_ns)) return false;
  Stranger& stranger = strangers_[process];
  stranger.pidfd = std::move(pidfd);
  stranger.ended = std::move(ended);
  const int fd = stranger.pidfd.get();
  const Status refused = loop_->Add(fd, EPOLLIN, [this, process, fd](uint32_t) {
    loop_->Remove(fd);
    Look(process);
  });
  // The kernel has no room for one more: it is asked again and again.
  if (refused) LookLater(process);
  return true;
}

void StrangerWatch::LookLater(Process process) {
  strangers_.at(process).timer =
      loop_->At(BootTime{BootTimeNanos() + kLookNanos}, [this, process] { Look(process); });
}

void StrangerWatch::Look(Process process) {
  Stranger& stranger = strangers_.at(process);
  stranger.timer = 0;
  pollfd ended_yet{stranger.pidfd.get(), POLLIN, 0};
  if (::poll(&ended_yet, 1, 0) == 0) return LookLater(process);
  std::optional<int> status = ReadStatusOfZombie(stranger.pidfd.get(), process.first);
  if (!status) status = ReadStatusOfReaped(stranger.pidfd.get());
  if (!status && ++stranger.looks < kLooks) return LookLater(process);
  const Ended ended = std::move(stranger.ended);
  strangers_.erase(process);
  ended(!status && Planted(Bug::kUnknownAsZero) ? 0 : status);
}

}  // namespace brood
