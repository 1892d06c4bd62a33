// SPDX-License-Identifier: Apache-2.0
#include "agent/host/stranger_watch.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "agent/process/process_table.h"

namespace brood {
namespace {

class StrangerWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::move(*EventLoop::Create());
    watch_ = std::make_unique<StrangerWatch>(loop_.get());
    pid_ = ::fork();
    if (pid_ == 0) {
      ::pause();
      ::_exit(0);
    }
  }
  void TearDown() override {
    watch_.reset();
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  int64_t Start() const { return ReadProcess(pid_)->start_ns(); }

  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<StrangerWatch> watch_;
  pid_t pid_ = -1;
};

TEST_F(StrangerWatchTest, TellsOnceWhatTheKernelStillKnowsWhenSomebodyElseHasWaited) {
  int told = 0;
  std::optional<int> status;
  ASSERT_TRUE(watch_->Watch(pid_, Start(), [&](std::optional<int> seen) {
    ++told;
    status = seen;
    loop_->Stop();
  }));
  EXPECT_TRUE(watch_->Watch(pid_, Start(), [](std::optional<int>) { FAIL() << "watched twice"; }));
  ::kill(pid_, SIGTERM);
  // The one who waits, as an init does.
  ASSERT_EQ(::waitpid(pid_, nullptr, 0), pid_);
  loop_->Run();
  EXPECT_EQ(told, 1);
  // Unknown on a kernel before 6.15.
  if (status) {
    EXPECT_TRUE(WIFSIGNALED(*status));
    EXPECT_EQ(WTERMSIG(*status), SIGTERM);
  }
}

TEST_F(StrangerWatchTest, TellsTheStatusOfACorpseThatNobodyTakesAway) {
  std::optional<int> status;
  ASSERT_TRUE(watch_->Watch(pid_, Start(), [&](std::optional<int> seen) {
    status = seen;
    loop_->Stop();
  }));
  ::kill(pid_, SIGKILL);
  loop_->Run();
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(WIFSIGNALED(*status));
  EXPECT_EQ(WTERMSIG(*status), SIGKILL);
}

TEST_F(StrangerWatchTest, OfAnotherUsersCorpseThatNobodyTakesAwayItIsAnUnknownStatusInTheEnd) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be another user for a while";
  std::optional<int> status = 1;
  ASSERT_TRUE(watch_->Watch(pid_, Start(), [&](std::optional<int> seen) {
    status = seen;
    loop_->Stop();
  }));
  ::kill(pid_, SIGKILL);
  ASSERT_EQ(::seteuid(65'534), 0);
  loop_->Run();
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_FALSE(status.has_value());
}

TEST_F(StrangerWatchTest, WatchesNobodyElseWithThatNumber) {
  EXPECT_FALSE(watch_->Watch(pid_, Start() - 1, [](std::optional<int>) {}))
      << "another one had it then";
  EXPECT_TRUE(watch_->Watch(pid_, Start(), [](std::optional<int>) {}));
}

}  // namespace
}  // namespace brood
