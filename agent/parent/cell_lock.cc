// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/cell_lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

namespace brood {
namespace {

// A cell is held for some tens of nanoseconds: to look again is cheaper than to sleep. Not for
// longer than sleeping and being woken take, some microseconds.
constexpr int kLooks = 200;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

uint32_t* CellLock::futex() {
  auto* const halves = reinterpret_cast<uint32_t*>(&word_);
  return halves + (std::endian::native == std::endian::little ? 0 : 1);
}

bool CellLock::Wait(uint64_t owner, const timespec* until) {
  for (int look = 0; look < kLooks; ++look) {
    Pause();
    uint64_t seen = word_.load(std::memory_order_relaxed);
    if (seen == 0 && word_.compare_exchange_weak(seen, Held(owner), std::memory_order_acquire,
                                                 std::memory_order_relaxed)) {
      return true;
    }
  }
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  if (asymmetric_) AsymmetricBarrier::Issue();
  bool locked = false;
  for (;;) {
    uint64_t seen = word_.load(std::memory_order_seq_cst);
    if (seen == 0) {
      locked = word_.compare_exchange_weak(seen, Held(owner), std::memory_order_acquire,
                                           std::memory_order_relaxed);
      if (locked) break;
      continue;
    }
    const long slept =
        ::syscall(SYS_futex, futex(), FUTEX_WAIT_BITSET_PRIVATE, static_cast<uint32_t>(seen), until,
                  nullptr, FUTEX_BITSET_MATCH_ANY);
    if (slept != 0 && errno == ETIMEDOUT) break;
  }
  waiters_.fetch_sub(1, std::memory_order_relaxed);
  return locked;
}

void CellLock::WakeOne() {
  ::syscall(SYS_futex, futex(), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace brood
