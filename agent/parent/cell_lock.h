// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

#include "agent/parent/asymmetric_barrier.h"

namespace brood {

// The lock of a private cell, which records whose it is. Taken for every write of a cell, mostly by
// one thread at a time: so taking it is one atomic change, and letting go of it a plain store; who
// has to wait bears the cost (docs/adr/0011-asymmetric-gate.md). Not recursive. In a forked child
// it is as it was at the fork.
class CellLock {
 public:
  // `asymmetric`: AsymmetricBarrier is registered.
  explicit CellLock(bool asymmetric) : asymmetric_(asymmetric) {}
  CellLock(const CellLock&) = delete;
  CellLock& operator=(const CellLock&) = delete;

  // `owner`: the job's key, below 2^63; 0: no job.
  void Lock(uint64_t owner) {
    uint64_t free = 0;
    if (!word_.compare_exchange_strong(free, Held(owner), std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
      Wait(owner, nullptr);
    }
  }
  // By CLOCK_MONOTONIC; false if it was held until then.
  bool LockUntil(const timespec& until, uint64_t owner) {
    uint64_t free = 0;
    return word_.compare_exchange_strong(free, Held(owner), std::memory_order_acquire,
                                         std::memory_order_relaxed) ||
           Wait(owner, &until);
  }
  void Unlock() {
    // Either this one sees that somebody waits, or that one sees that it is free.
    if (asymmetric_) {
      word_.store(0, std::memory_order_release);
      AsymmetricBarrier::Light();
    } else {
      word_.store(0, std::memory_order_seq_cst);
    }
    if (waiters_.load(std::memory_order_seq_cst) != 0) WakeOne();
  }

  // Of who holds it; 0: nobody, or no job. Any thread.
  uint64_t owner() const { return word_.load(std::memory_order_relaxed) >> 1; }

 private:
  static constexpr uint64_t Held(uint64_t owner) { return owner << 1 | 1; }
  bool Wait(uint64_t owner, const timespec* until);
  void WakeOne();
  uint32_t* futex();

  const bool asymmetric_;
  std::atomic<uint32_t> waiters_{0};
  std::atomic<uint64_t> word_{0};  // a futex, by its lower half, which is 0 only if it is free
};

}  // namespace brood
