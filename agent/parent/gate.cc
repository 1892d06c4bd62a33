// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/gate.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

#include "agent/parent/asymmetric_barrier.h"
#include "common/base/clock.h"

namespace brood {
namespace {

void Wait(std::atomic<uint32_t>* word, uint32_t seen, const timespec* for_at_most) {
  ::syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, for_at_most, nullptr, 0);
}

void WakeAll(std::atomic<uint32_t>* word) {
  ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

GateMark::GateMark(Gate* gate) : gate_(gate) {
  pthread_mutex_lock(&gate_->mutex_);
  next_ = gate_->first_;
  if (next_ != nullptr) next_->previous_ = this;
  gate_->first_ = this;
  pthread_mutex_unlock(&gate_->mutex_);
}

GateMark::~GateMark() {
  pthread_mutex_lock(&gate_->mutex_);
  (previous_ != nullptr ? previous_->next_ : gate_->first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  pthread_mutex_unlock(&gate_->mutex_);
}

Gate::Gate() : asymmetric_(AsymmetricBarrier::Register()) {}

Gate::~Gate() { pthread_mutex_destroy(&mutex_); }

void Gate::WaitToEnter(std::atomic<uint32_t>* inside) {
  do {
    Unsay(inside);
    LetGo();
    Wait(&closed_, 1, nullptr);
    Say(inside);
  } while (Closes());
}

void Gate::LetGo() {
  left_.fetch_add(1, std::memory_order_release);
  WakeAll(&left_);
}

bool Gate::AnyInside() const {
  if (unmarked_.load(std::memory_order_seq_cst) != 0) return true;
  for (const GateMark* mark = first_; mark != nullptr; mark = mark->next_) {
    if (mark->inside_.load(std::memory_order_seq_cst) != 0) return true;
  }
  return false;
}

bool Gate::Close(int64_t wait_ns) {
  const int64_t until = BootTimeNanos() + wait_ns;
  closed_.store(1, std::memory_order_seq_cst);
  if (asymmetric_) AsymmetricBarrier::Issue();
  for (;;) {
    const uint32_t left = left_.load(std::memory_order_acquire);
    pthread_mutex_lock(&mutex_);
    // Keeps the mutex: a list that is just being changed must not be copied either.
    if (!AnyInside()) return true;
    pthread_mutex_unlock(&mutex_);
    const int64_t remaining = until - BootTimeNanos();
    if (remaining <= 0) break;
    const timespec for_at_most{remaining / 1'000'000'000, remaining % 1'000'000'000};
    Wait(&left_, left, &for_at_most);
  }
  closed_.store(0, std::memory_order_release);
  WakeAll(&closed_);
  return false;
}

void Gate::Open() {
  pthread_mutex_unlock(&mutex_);
  closed_.store(0, std::memory_order_release);
  WakeAll(&closed_);
}

// The thread that closed it is the one that is here. Whoever waited is not: nobody need be woken.
void Gate::OpenInChild() {
  pthread_mutex_unlock(&mutex_);
  closed_.store(0, std::memory_order_relaxed);
}

}  // namespace brood
