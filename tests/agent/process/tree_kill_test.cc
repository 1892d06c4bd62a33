// SPDX-License-Identifier: Apache-2.0
#include "agent/process/tree_kill.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "common/base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/agent/process/family_process.h"

namespace brood::testing {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

std::vector<pid_t> Pids(const std::vector<ProcessEntry>& processes) {
  std::vector<pid_t> pids;
  for (const ProcessEntry& process : processes) pids.push_back(process.pid);
  return pids;
}

TEST(TreeKillTest, FindsAndEndsEveryMemberOfAFamily) {
  struct Case {
    std::vector<std::string> shape;
    size_t members;
  };
  const Case cases[] = {{{"one"}, 1},    {{"children", "20"}, 21}, {{"chain", "15"}, 16},
                        {{"left"}, 2},   {{"orphan"}, 1},          {{"bare-orphan"}, 1},
                        {{"threads"}, 1}};
  for (const Case& one : cases) {
    SCOPED_TRACE(one.shape[0]);
    Family family("job-" + one.shape[0], one.shape, one.members);
    if (one.shape[0].ends_with("orphan")) family.ReapLeader();
    // One between the leader and its orphan may just be ending.
    const int64_t until = BootTimeNanos() + int64_t{kPatienceMilliseconds} * 1'000'000;
    while (FindTree(family.root(), {}).size() > family.members().size() && BootTimeNanos() < until)
      ::poll(nullptr, 0, 1);
    EXPECT_THAT(Pids(FindTree(family.root(), {})), UnorderedElementsAreArray(family.members()));
    const TreeKilled killed = KillTree(family.root(), {});
    EXPECT_THAT(Pids(killed.killed), UnorderedElementsAreArray(family.members()));
    EXPECT_THAT(killed.survivors, IsEmpty());
    EXPECT_TRUE(family.AllEnded());
  }
}

TEST(TreeKillTest, FindsAnOrphanInItsOwnSessionByItsEnvironmentAlone) {
  // A big environment: the marks come last.
  Family family("by-mark", {"orphan"}, 1, {"BIG=" + std::string(120'000, 'x')});
  family.ReapLeader();
  JobRoot root = family.root();
  root.pid = 0;
  EXPECT_THAT(Pids(FindTree(root, {})), UnorderedElementsAreArray(family.members()));
  root.host = "elsewhere";
  EXPECT_THAT(FindTree(root, {}), IsEmpty());
  root.host = "here";
  root.job_id = "by-mark-2";
  EXPECT_THAT(FindTree(root, {}), IsEmpty());
  root.job_id = "by-mark";
  root.journal = "fedcba9876543210";
  EXPECT_THAT(FindTree(root, {}), IsEmpty()) << "another agent with this host's name";
}

TEST(TreeKillTest, CatchesAProcessThatForksAwayAllTheTime) {
  Family family("hopper", {"hop"}, 1);
  const TreeKilled killed = KillTree(family.root(), {}, nullptr, {.rounds = 200});
  EXPECT_THAT(killed.survivors, IsEmpty());
  EXPECT_TRUE(family.AllEnded());
}

TEST(TreeKillTest, LeavesOtherFamiliesAlone) {
  Family mine("mine", {"children", "3"}, 4);
  JobRoot other_root;
  {
    Family other("other", {"children", "3"}, 4);
    other_root = other.root();
    KillTree(mine.root(), {});
    EXPECT_TRUE(mine.AllEnded());
    EXPECT_THAT(FindTree(other.root(), {}), SizeIs(4));
  }
  EXPECT_THAT(FindTree(other_root, {}), IsEmpty());
}

TEST(TreeKillTest, LeavesTheExcludedAlone) {
  Family family("with-parent", {"children", "2"}, 3);
  const auto child = std::find_if(family.members().begin(), family.members().end(),
                                  [&](pid_t pid) { return pid != family.leader(); });
  const TreeKilled killed = KillTree(family.root(), {*child});
  EXPECT_THAT(Pids(killed.killed), Not(Contains(*child)));
  EXPECT_THAT(killed.killed, SizeIs(2));
  const auto spared = ReadProcess(*child);
  ASSERT_TRUE(spared.has_value());
  EXPECT_TRUE(spared->alive());
  EXPECT_NE(spared->state, 'T') << "not even stopped";
}

TEST(TreeKillTest, NamesTheSurvivorsWhenItsRoundsAreUsedUp) {
  Family family("tough", {"children", "2"}, 3);
  const TreeKilled killed = KillTree(family.root(), {}, nullptr, {.rounds = 0});
  EXPECT_THAT(killed.killed, IsEmpty());
  EXPECT_THAT(Pids(killed.survivors), UnorderedElementsAreArray(family.members()));
}

TEST(TreeKillTest, FindsNothingAfterTheEnd) {
  Family family("gone", {"one"}, 1);
  KillTree(family.root(), {});
  // Once as a zombie, once reaped.
  EXPECT_THAT(KillTree(family.root(), {}).killed, IsEmpty());
  family.ReapLeader();
  const TreeKilled killed = KillTree(family.root(), {});
  EXPECT_THAT(killed.killed, IsEmpty());
  EXPECT_EQ(killed.rounds, 0);
}

TEST(TreeKillTest, SignalsThatVeryProcessOnly) {
  Family family("signalled", {"one"}, 1);
  ProcessEntry process = *ReadProcess(family.leader());
  process.start_ticks += 1;
  EXPECT_EQ(SignalProcess(process, SIGKILL), ESRCH);
  process.start_ticks -= 1;
  EXPECT_EQ(SignalProcess(process, 0), 0);
  EXPECT_EQ(SignalProcess(process, 999), EINVAL);
  EXPECT_EQ(SignalProcess(process, SIGKILL), 0);
  family.ReapLeader();
  EXPECT_EQ(SignalProcess(process, SIGKILL), ESRCH);
}

// Forks a child that gets the pid `wanted`; 0 if it cannot be had.
pid_t ForkWithPid(pid_t wanted) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const int fd = ::open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const std::string last = std::to_string(wanted - 1);
    const bool set = ::write(fd, last.data(), last.size()) > 0;
    ::close(fd);
    if (!set) return 0;
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) ::pause();
    }
    if (child == wanted) return child;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  return 0;
}

TEST(TreeKillTest, NeverHitsAProcessThatTookOverAPid) {
  ProcessEntry old;
  JobRoot root;
  {
    Family family("recycled", {"one"}, 1);
    old = *ReadProcess(family.leader());
    root = family.root();
  }
  // /proc counts starts in ticks: one of its own.
  const int64_t until = BootTimeNanos() + 20'000'000;
  while (BootTimeNanos() < until) {
    ::poll(nullptr, 0, static_cast<int>((until - BootTimeNanos()) / 1'000'000) + 1);
  }
  const pid_t innocent = ForkWithPid(old.pid);
  if (innocent == 0) GTEST_SKIP() << "the pid cannot be had again without the rights to ask for it";
  EXPECT_THAT(KillTree(root, {}).killed, IsEmpty());
  EXPECT_EQ(SignalProcess(old, SIGKILL), ESRCH);
  EXPECT_EQ(::waitpid(innocent, nullptr, WNOHANG), 0) << "it must live";
  ::kill(innocent, SIGKILL);
  EXPECT_EQ(::waitpid(innocent, nullptr, 0), innocent);
}

}  // namespace
}  // namespace brood::testing
