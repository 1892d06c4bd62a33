// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/cell_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <thread>
#include <vector>

#include "tests/testing/thread_state.h"

namespace brood {
namespace {

using testing::WaitUntilAsleep;

int64_t MonotonicNanos() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

timespec In(int64_t nanos) {
  const int64_t until = MonotonicNanos() + nanos;
  return {until / 1'000'000'000, until % 1'000'000'000};
}

// With the barrier that one side pays for, where there is one, and without.
class CellLockTest : public ::testing::TestWithParam<bool> {
 protected:
  CellLock lock_{GetParam() && AsymmetricBarrier::Register()};

  // A thread that takes the lock for `owner`; asleep by the time this returns. The lock is held.
  std::thread Waiter(uint64_t owner, std::atomic<int>* got) {
    std::atomic<pid_t> tid{0};
    std::thread thread([this, owner, got, &tid] {
      tid = ::gettid();
      tid.notify_one();
      lock_.Lock(owner);
      ++*got;
      EXPECT_EQ(lock_.owner(), owner);
      lock_.Unlock();
    });
    tid.wait(0);
    WaitUntilAsleep(tid);
    return thread;
  }
};

TEST_P(CellLockTest, LetsOneInAtATime) {
  constexpr int kThreads = 4;
  constexpr int kTimes = 50'000;
  int64_t guarded = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, &guarded, i] {
      for (int n = 0; n < kTimes; ++n) {
        lock_.Lock(static_cast<uint64_t>(i));
        const int64_t seen = guarded;
        // Now and then for so long that the others sleep.
        for (int turn = 0; n % 5'000 == 0 && turn < 1'000; ++turn) std::this_thread::yield();
        guarded = seen + 1;
        lock_.Unlock();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(guarded, int64_t{kThreads} * kTimes);
}

TEST_P(CellLockTest, AllWhoSleepAreLetInOneAfterTheOther) {
  lock_.Lock(1);
  std::atomic<int> got{0};
  std::vector<std::thread> waiters;
  for (uint64_t i = 2; i < 6; ++i) waiters.push_back(Waiter(i, &got));
  EXPECT_EQ(got, 0);
  lock_.Unlock();
  for (std::thread& waiter : waiters) waiter.join();
  EXPECT_EQ(got, 4);
}

TEST_P(CellLockTest, WhoGivesUpHasWaitedAndTakesNobodysTurn) {
  lock_.Lock(1);
  std::atomic<int> got{0};
  std::thread waiter = Waiter(2, &got);
  constexpr int64_t kWait = 5'000'000;
  const int64_t before = MonotonicNanos();
  EXPECT_FALSE(lock_.LockUntil(In(kWait), 3));
  EXPECT_GE(MonotonicNanos() - before, kWait);
  EXPECT_EQ(lock_.owner(), 1u);
  lock_.Unlock();
  waiter.join();
  EXPECT_EQ(got, 1);
  EXPECT_TRUE(lock_.LockUntil(In(0), 3));
}

TEST_P(CellLockTest, IsHeldAlsoByWhoIsNoJob) {
  EXPECT_EQ(lock_.owner(), 0u);
  lock_.Lock(0);
  EXPECT_EQ(lock_.owner(), 0u);
  EXPECT_FALSE(lock_.LockUntil(In(0), 1));
  lock_.Unlock();
  lock_.Lock(uint64_t{1} << 40);
  EXPECT_EQ(lock_.owner(), uint64_t{1} << 40);
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutTheBarrier, CellLockTest, ::testing::Bool());

}  // namespace
}  // namespace brood
