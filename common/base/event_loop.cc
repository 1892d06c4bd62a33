// SPDX-License-Identifier: Apache-2.0
#include "common/base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace brood {
namespace {

// Events taken in one wait: enough to batch under load, small on the stack.
constexpr int kEventsPerWait = 64;

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::Create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return ErrnoError(errno, "epoll_create1");
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return ErrnoError(errno, "eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake.get();
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return ErrnoError(errno, "epoll_ctl");
  }
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

EventLoop::EventLoop(UniqueFd epoll, UniqueFd wake)
    : epoll_(std::move(epoll)), wake_(std::move(wake)) {}

EventLoop::~EventLoop() = default;

Status EventLoop::Add(int fd, uint32_t events, Callback callback) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return ErrnoError(errno, "epoll_ctl");
  }
  callbacks_[fd] = std::make_shared<Callback>(std::move(callback));
  return Ok();
}

void EventLoop::Change(int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Remove(int fd) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  callbacks_.erase(fd);
}

EventLoop::TimerId EventLoop::At(BootTime when, Work work) {
  const TimerId id = next_timer_++;
  timers_.emplace(std::make_pair(when.ns, id), std::move(work));
  times_.emplace(id, when.ns);
  return id;
}

void EventLoop::Cancel(TimerId timer) {
  const auto time = times_.find(timer);
  if (time == times_.end()) return;
  timers_.erase({time->second, timer});
  times_.erase(time);
}

void EventLoop::Post(Work work) {
  pthread_mutex_lock(&mutex_);
  const bool first = posted_.empty();
  posted_.push_back(std::move(work));
  pthread_mutex_unlock(&mutex_);
  // Only the first of a batch has to wake the loop.
  const uint64_t one = 1;
  if (first) (void)!::write(wake_.get(), &one, sizeof(one));
}

void EventLoop::Stop() {
  pthread_mutex_lock(&mutex_);
  stopped_ = true;
  pthread_mutex_unlock(&mutex_);
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
}

int EventLoop::WaitMilliseconds() const {
  if (timers_.empty()) return -1;
  const int64_t left = timers_.begin()->first.first - BootTimeNanos();
  if (left <= 0) return 0;
  // Rounded up: a timer must not fire early.
  return static_cast<int>(std::min<int64_t>((left + 999'999) / 1'000'000, INT_MAX));
}

void EventLoop::RunTimers() {
  while (!timers_.empty() && timers_.begin()->first.first <= BootTimeNanos()) {
    const Work work = std::move(timers_.begin()->second);
    times_.erase(timers_.begin()->first.second);
    timers_.erase(timers_.begin());
    work();
  }
}

void EventLoop::RunPosted() {
  std::vector<Work> works;
  pthread_mutex_lock(&mutex_);
  works.swap(posted_);
  pthread_mutex_unlock(&mutex_);
  for (const Work& work : works) work();
}

void EventLoop::Run() {
  epoll_event events[kEventsPerWait];
  for (;;) {
    pthread_mutex_lock(&mutex_);
    const bool stopped = stopped_;
    pthread_mutex_unlock(&mutex_);
    if (stopped) return;
    const int count = ::epoll_wait(epoll_.get(), events, kEventsPerWait, WaitMilliseconds());
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == wake_.get()) {
        uint64_t rings;
        (void)!::read(fd, &rings, sizeof(rings));
        continue;
      }
      // An earlier callback of this round may have removed it.
      const auto found = callbacks_.find(fd);
      if (found == callbacks_.end()) continue;
      const std::shared_ptr<Callback> callback = found->second;
      (*callback)(events[i].events);
    }
    RunPosted();
    RunTimers();
    if (after_round_) after_round_();
  }
}

}  // namespace brood
