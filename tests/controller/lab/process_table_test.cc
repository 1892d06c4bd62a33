// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/process_table.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

namespace brood {
namespace {

class ProcessTableTest : public ::testing::Test {
 protected:
  ProcessTableTest() {
    char program[] = "/bin/sleep";
    char seconds[] = "600";
    char* arguments[] = {program, seconds, nullptr};
    char first[] = "OTHER=1";
    char second[] = "BROOD_TEST_MARK=/a/b";
    char* environment[] = {first, second, nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, program, nullptr, nullptr, arguments, environment), 0);
    // The kernel wakes us a moment before it has put words and environment in place.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (CommandLine(Sleeper()) != "/bin/sleep 600" &&
           std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
  }
  ~ProcessTableTest() override {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  Process Sleeper() {
    const ProcessTable table = ProcessTable::Read();
    const Process* process = table.Find(pid_);
    EXPECT_NE(process, nullptr);
    return process != nullptr ? *process : Process();
  }

  pid_t pid_ = -1;
};

TEST_F(ProcessTableTest, ReadsParentThreadsAndStart) {
  const Process process = Sleeper();
  EXPECT_EQ(process.ppid, ::getpid());
  EXPECT_EQ(process.threads, 1);
  EXPECT_GT(process.start, 0u);
  EXPECT_EQ(CommandLine(process), "/bin/sleep 600");
}

TEST_F(ProcessTableTest, FindsWhatIsBelowAndNotTheRootItself) {
  const std::vector<Process> below = ProcessTable::Read().Below({::getpid()});
  ASSERT_EQ(below.size(), 1u);
  EXPECT_EQ(below.front().pid, pid_);
}

TEST_F(ProcessTableTest, FindsAVariableByItsWholeNameOnly) {
  const auto has = [this](const char* prefix) {
    for (const Process& process : ProcessTable::Read().WithVariable(prefix))
      if (process.pid == pid_) return true;
    return false;
  };
  EXPECT_TRUE(has("BROOD_TEST_MARK=/a/"));
  EXPECT_FALSE(has("TEST_MARK=/a/"));
  EXPECT_FALSE(has("BROOD_TEST_MARK=/a/b/"));
}

TEST_F(ProcessTableTest, AwaitsAnEndAndSaysWhoIsLeft) {
  const Process process = Sleeper();
  EXPECT_EQ(AwaitEnd({process}, 0, std::chrono::milliseconds(0)).size(), 1u);
  EXPECT_TRUE(AwaitEnd({process}, SIGTERM, std::chrono::seconds(20)).empty());
}

TEST_F(ProcessTableTest, NeverSignalsALaterProcessWithTheSamePid) {
  Process earlier = Sleeper();
  earlier.start -= 1;
  EXPECT_TRUE(AwaitEnd({earlier}, SIGKILL, std::chrono::seconds(20)).empty());
  EXPECT_EQ(::waitpid(pid_, nullptr, WNOHANG), 0);
}

}  // namespace
}  // namespace brood
