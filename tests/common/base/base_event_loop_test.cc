// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

constexpr int64_t kMillisecond = 1'000'000;

class EventLoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
    ASSERT_TRUE(loop.ok());
    loop_ = *std::move(loop);
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    read_.reset(ends[0]);
    write_.reset(ends[1]);
  }

  BootTime In(int64_t nanoseconds) { return BootTime{BootTimeNanos() + nanoseconds}; }
  void WriteByte() { ASSERT_EQ(::write(write_.get(), "x", 1), 1); }

  std::unique_ptr<EventLoop> loop_;
  UniqueFd read_;
  UniqueFd write_;
};

TEST_F(EventLoopTest, CallsBackAsLongAsThereIsSomethingToRead) {
  int calls = 0;
  ASSERT_FALSE(loop_->Add(read_.get(), EPOLLIN, [&](uint32_t events) {
    EXPECT_NE(events & EPOLLIN, 0u);
    if (++calls < 3) return;
    char byte;
    EXPECT_EQ(::read(read_.get(), &byte, 1), 1);
    loop_->Stop();
  }));
  WriteByte();
  loop_->Run();
  EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, LetsACallbackRemoveItselfAndOthers) {
  const UniqueFd second(::dup(read_.get()));
  int calls = 0;
  const auto remove = [&](uint32_t) {
    ++calls;
    loop_->Remove(read_.get());
    loop_->Remove(second.get());
    loop_->Post([this] { loop_->Stop(); });
  };
  ASSERT_FALSE(loop_->Add(read_.get(), EPOLLIN, remove));
  ASSERT_FALSE(loop_->Add(second.get(), EPOLLIN, remove));
  WriteByte();
  loop_->Run();
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, TellsOfTheHangUpToWhomWatchesWritingOnly) {
  read_.reset();
  uint32_t seen = 0;
  ASSERT_FALSE(loop_->Add(write_.get(), 0, [&](uint32_t events) {
    seen = events;
    loop_->Stop();
  }));
  loop_->Run();
  EXPECT_NE(seen & EPOLLERR, 0u);
}

TEST_F(EventLoopTest, ChangesWhatIsWatched) {
  bool writable = false;
  ASSERT_FALSE(loop_->Add(write_.get(), EPOLLIN, [&](uint32_t events) {
    writable = (events & EPOLLOUT) != 0;
    loop_->Stop();
  }));
  loop_->Change(write_.get(), EPOLLOUT);
  loop_->Run();
  EXPECT_TRUE(writable);
}

TEST_F(EventLoopTest, RefusesADescriptorThatCannotBeWatched) {
  EXPECT_TRUE(loop_->Add(-1, EPOLLIN, [](uint32_t) {}).has_value());
}

TEST_F(EventLoopTest, FiresTimersInTheirOrderAndNotEarly) {
  std::vector<int> fired;
  const int64_t begin = BootTimeNanos();
  int64_t last = 0;
  loop_->At(In(20 * kMillisecond), [&] {
    fired.push_back(3);
    last = BootTimeNanos();
    loop_->Stop();
  });
  loop_->At(In(10 * kMillisecond), [&] { fired.push_back(2); });
  loop_->At(BootTime{0}, [&] { fired.push_back(1); });
  loop_->Run();
  EXPECT_EQ(fired, (std::vector<int>{1, 2, 3}));
  EXPECT_GE(last - begin, 20 * kMillisecond);
}

TEST_F(EventLoopTest, ForgetsATimerThatWasCancelled) {
  bool fired = false;
  const EventLoop::TimerId timer = loop_->At(In(1), [&] { fired = true; });
  loop_->Cancel(timer);
  loop_->Cancel(timer);
  loop_->At(In(5 * kMillisecond), [this] { loop_->Stop(); });
  loop_->Run();
  EXPECT_FALSE(fired);
}

TEST_F(EventLoopTest, LetsATimerSetAnother) {
  int fired = 0;
  std::function<void()> again = [&] {
    if (++fired == 3) {
      loop_->Stop();
    } else {
      loop_->At(In(kMillisecond), again);
    }
  };
  again();
  loop_->Run();
  EXPECT_EQ(fired, 3);
}

TEST_F(EventLoopTest, RunsWhatOtherThreadsPostInTheirOrder) {
  constexpr int kEach = 500;
  std::vector<int> next(2, 0);
  int left = 2 * kEach;
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kEach; ++i) {
        loop_->Post([&, thread, i] {
          EXPECT_EQ(next[thread]++, i);
          if (--left == 0) loop_->Stop();
        });
      }
    });
  }
  loop_->Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(left, 0);
}

TEST_F(EventLoopTest, RunsWorkThatIsPostedByWorkInALaterRound) {
  int rounds = 0;
  loop_->AfterRound([&] { ++rounds; });
  int first_round = -1;
  loop_->Post([&] {
    first_round = rounds;
    loop_->Post([&] {
      EXPECT_GT(rounds, first_round);
      loop_->Stop();
    });
  });
  loop_->Run();
  EXPECT_GE(rounds, 2);
}

TEST_F(EventLoopTest, StopsWhenAnotherThreadSaysSo) {
  std::thread other([this] { loop_->Stop(); });
  loop_->Run();
  other.join();
}

}  // namespace
}  // namespace brood
