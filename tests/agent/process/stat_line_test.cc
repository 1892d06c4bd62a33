// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "agent/process/process_table.h"
#include "common/base/clock.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

constexpr char kLine[] =
    "812 (a) b) (c) S 7 812 800 34816 813 4194304 1 2 3 4 5 6 7 8 20 -5 3 0 98765 11 12 "
    "18446744073709551615 1 2 3";

TEST(StatLineTest, ReadsTheFieldsOfAStatLine) {
  const auto entry = ParseProcessStat(kLine);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->pid, 812);
  EXPECT_EQ(entry->name, "a) b) (c");
  EXPECT_EQ(entry->state, 'S');
  EXPECT_EQ(entry->ppid, 7);
  EXPECT_EQ(entry->pgid, 812);
  EXPECT_EQ(entry->session, 800);
  EXPECT_EQ(entry->threads, 3);
  EXPECT_EQ(entry->start_ticks, 98765u);
  EXPECT_EQ(entry->start_ns(), 98765 * (1'000'000'000 / ::sysconf(_SC_CLK_TCK)));
}

TEST(StatLineTest, RefusesWhatIsNoStatLine) {
  for (const char* text : {"", "812", "812 (x", "812 x) S 1", "812 (x) S", "812 (x) S 1 2",
                           ") 812 (", "x (y) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19"}) {
    EXPECT_FALSE(ParseProcessStat(text).has_value()) << text;
  }
  // Every cut of a good line: nothing, or the whole of what is asked for.
  const std::string whole(kLine);
  for (size_t size = 0; size < whole.find("98765"); ++size) {
    EXPECT_FALSE(ParseProcessStat(whole.substr(0, size)).has_value()) << size;
  }
}

TEST(StatLineTest, ShowsThisProcessAsTheKernelKnowsIt) {
  const auto entry = ReadProcess(::getpid());
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->pid, ::getpid());
  EXPECT_EQ(entry->ppid, ::getppid());
  EXPECT_EQ(entry->pgid, ::getpgrp());
  EXPECT_EQ(entry->session, ::getsid(0));
  EXPECT_TRUE(entry->alive());
  EXPECT_GT(entry->start_ns(), 0);
  EXPECT_LE(entry->start_ns(), BootTimeNanos());
}

TEST(StatLineTest, KeepsANameWithParenthesesAndBlanks) {
  char old_name[16];
  ::prctl(PR_GET_NAME, old_name);
  ::prctl(PR_SET_NAME, ") 1 (R 2)");
  const auto entry = ReadProcess(::getpid());
  ::prctl(PR_SET_NAME, old_name);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->name, ") 1 (R 2)");
  EXPECT_EQ(entry->ppid, ::getppid());
}

TEST(StatLineTest, SaysThatAZombieIsNotAlive) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t seen{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &seen, WEXITED | WNOWAIT), 0);
  const auto entry = ReadProcess(child);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->state, 'Z');
  EXPECT_FALSE(entry->alive());
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(ReadProcess(child).has_value());
}

TEST(StatLineTest, ANumberAndAStartAreOneProcess) {
  const int64_t start_ns = ReadProcess(::getpid())->start_ns();
  EXPECT_TRUE(IsSameProcess(::getpid(), start_ns));
  EXPECT_TRUE(IsSameProcess(::getpid(), BootTimeNanos())) << "it may be noted late";
  EXPECT_FALSE(IsSameProcess(::getpid(), start_ns - 1)) << "another one had the pid then";
}

// Its file in /proc can go between being opened and being read: an error, and no reason to end.
TEST(StatLineTest, AProcessThatEndsWhileItIsLookedAtIsGone) {
  struct sigaction reaped_at_once {};
  struct sigaction before {};
  reaped_at_once.sa_handler = SIG_IGN;
  ASSERT_EQ(::sigaction(SIGCHLD, &reaped_at_once, &before), 0);
  for (int i = 0; i < 200; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(0);
    const auto process = ReadProcess(child);
    if (!process) continue;
    while (IsSameProcess(child, process->start_ns())) {
    }
  }
  ASSERT_EQ(::sigaction(SIGCHLD, &before, nullptr), 0);
}

TEST(StatLineTest, HoldsThisProcessOnceAndIsSorted) {
  const auto table = ReadProcessTable();
  EXPECT_EQ(std::count_if(table.begin(), table.end(),
                          [](const ProcessEntry& entry) { return entry.pid == ::getpid(); }),
            1);
  EXPECT_TRUE(
      std::is_sorted(table.begin(), table.end(),
                     [](const ProcessEntry& a, const ProcessEntry& b) { return a.pid < b.pid; }));
}

TEST(StatLineTest, FindsWholeEnvironmentEntriesOnly) {
  const std::string filler = "FILLER=" + std::string(100'000, 'x');
  const std::string mark = "MARK=1";
  char* const words[] = {const_cast<char*>("cat"), nullptr};
  char* const entries[] = {const_cast<char*>("FIRST=a"), const_cast<char*>(filler.c_str()),
                           const_cast<char*>(mark.c_str()), const_cast<char*>("LAST="), nullptr};
  int input[2];
  int output[2];
  ASSERT_EQ(::pipe(input), 0);
  ASSERT_EQ(::pipe(output), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(input[0], 0);
    ::dup2(output[1], 1);
    ::close(input[1]);
    ::execve("/bin/cat", words, entries);
    ::_exit(99);
  }
  // An echo: it has executed.
  char byte = 'x';
  ASSERT_EQ(::write(input[1], &byte, 1), 1);
  ASSERT_EQ(::read(output[0], &byte, 1), 1);
  EXPECT_TRUE(EnvironmentHas(child, {"MARK=1"}));
  EXPECT_TRUE(EnvironmentHas(child, {"FIRST=a", "LAST="}));
  EXPECT_TRUE(EnvironmentHas(child, {filler}));
  EXPECT_TRUE(EnvironmentHas(child, {}));
  EXPECT_FALSE(EnvironmentHas(child, {"MARK=1", "OTHER=1"}));
  EXPECT_FALSE(EnvironmentHas(child, {"MARK="}));
  EXPECT_FALSE(EnvironmentHas(child, {"ARK=1"}));
  EXPECT_FALSE(EnvironmentHas(child, {"MARK=12"}));
  EXPECT_EQ(ReadVariables(child, {"MARK", "OTHER", "LAST", "FIRST", "ARK"}),
            (std::vector<std::string>{"1", "", "", "a", ""}));
  for (const int fd : {input[0], input[1], output[0], output[1]}) ::close(fd);
  ::kill(child, SIGKILL);
  siginfo_t seen{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &seen, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(ReadVariables(child, {"MARK"}), std::nullopt) << "it has no environment any more";
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(EnvironmentHas(child, {"MARK=1"}));
  EXPECT_EQ(ReadVariables(child, {"MARK"}), std::nullopt);
}

TEST(ThreadTableTest, ListsTheThreadsOfAProcessAndNoneOfOneThatIsGone) {
  std::atomic<pid_t> tid{0};
  std::atomic<bool> done{false};
  std::thread other([&] {
    tid = ::gettid();
    tid.notify_all();
    done.wait(false);
  });
  tid.wait(0);
  std::set<pid_t> tids;
  for (const ProcessEntry& thread : ReadThreadTable(::getpid())) tids.insert(thread.pid);
  EXPECT_EQ(tids.count(::getpid()), 1u);
  EXPECT_EQ(tids.count(tid), 1u);
  done = true;
  done.notify_all();
  other.join();
  EXPECT_TRUE(ReadThreadTable(0).empty());
}

}  // namespace
}  // namespace brood
