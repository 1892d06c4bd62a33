// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/gate.h"

#include <ctime>

namespace brood {

Gate::Gate() { Initialise(); }

Gate::~Gate() { pthread_rwlock_destroy(&lock_); }

void Gate::Initialise() {
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
  // Else a stream of short passes could keep a fork waiting for ever.
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_init(&lock_, &attributes);
  pthread_rwlockattr_destroy(&attributes);
}

bool Gate::Close(int64_t wait_ns) {
  if (pthread_rwlock_trywrlock(&lock_) == 0) return true;
  // By the wall clock: the sanitizers do not know pthread_rwlock_clockwrlock. A clock that is
  // set meanwhile makes the wait shorter or longer, which is only a time-out.
  timespec until{};
  ::clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += wait_ns / 1'000'000'000;
  until.tv_nsec += wait_ns % 1'000'000'000;
  if (until.tv_nsec >= 1'000'000'000) {
    ++until.tv_sec;
    until.tv_nsec -= 1'000'000'000;
  }
  return pthread_rwlock_timedwrlock(&lock_, &until) == 0;
}

void Gate::Open() { pthread_rwlock_unlock(&lock_); }

void Gate::OpenInChild() { Initialise(); }

Gate::Pass::Pass(Gate* gate, GateMark* mark) : gate_(gate), mark_(mark) {
  pthread_rwlock_rdlock(&gate_->lock_);
  if (mark_ != nullptr) mark_->store(true, std::memory_order_relaxed);
}

Gate::Pass::~Pass() {
  if (mark_ != nullptr) mark_->store(false, std::memory_order_relaxed);
  pthread_rwlock_unlock(&gate_->lock_);
}

}  // namespace brood
