// SPDX-License-Identifier: Apache-2.0
#include "agent/process/limit_groups.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "agent/process/cgroup.h"
#include "gtest/gtest.h"
#include "tests/testing/at_end.h"
#include "tests/testing/temp_directory.h"

namespace brood::testing {
namespace {

constexpr char kMounts[] =
    "30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "31 24 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";

TEST(LimitGroupsPathTest, FindsTheHierarchyOfAController) {
  const std::string groups = "9:name=systemd:/\n4:memory:/a/b\n2:cpu,cpuacct:/c\n0::/x\n";
  EXPECT_EQ(OwnCgroupPath(kMounts, groups, "memory"), "/sys/fs/cgroup/memory/a/b");
  EXPECT_EQ(OwnCgroupPath(kMounts, groups, "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct/c");
  EXPECT_EQ(OwnCgroupPath(kMounts, groups, "pids"), "");
  EXPECT_EQ(OwnCgroupPath(kMounts, groups), "/sys/fs/cgroup/unified/x");
}

std::string OwnerOf(const TempDirectory& directory) {
  std::string owner = directory.path();
  std::erase_if(owner, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return owner;
}

class LimitGroupsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!groups_.bounds_memory()) GTEST_SKIP() << "no controller of memory that this test may use";
  }
  void TearDown() override { EXPECT_TRUE(groups_.Remove(groups_.jobs())); }
  TempDirectory directory_;
  const std::string record_ = directory_.path() + "/limit_groups";
  LimitGroups groups_{OwnerOf(directory_), record_};
};

TEST_F(LimitGroupsTest, AreMadeTakenAgainFoundByTheNextAgentAndRemoved) {
  const LimitGroups::Limits limits{64 << 20, std::nullopt};
  const Result<std::vector<std::string>> files = groups_.Make(7, limits);
  ASSERT_TRUE(files.ok()) << files.error().message;
  ASSERT_EQ(files->size(), 1u);
  EXPECT_TRUE(groups_.Make(7, limits).ok()) << "another attempt";
  EXPECT_FALSE(groups_.WasOutOfMemory(7));

  LimitGroups next(OwnerOf(directory_), record_);
  EXPECT_EQ(next.jobs(), std::vector<uint64_t>{7});
  EXPECT_TRUE(next.Remove({7}));
  EXPECT_FALSE(std::filesystem::exists(files->front()));
  EXPECT_TRUE(LimitGroups(OwnerOf(directory_), record_).jobs().empty());
  EXPECT_TRUE(groups_.Remove({7})) << "whoever was first";
}

TEST_F(LimitGroupsTest, StayWhileSomebodyLivesInThem) {
  const Result<std::vector<std::string>> files = groups_.Make(8, {64 << 20, std::nullopt});
  ASSERT_TRUE(files.ok()) << files.error().message;
  int gate[2];
  ASSERT_EQ(::pipe(gate), 0);
  int there[2];
  ASSERT_EQ(::pipe(there), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::ofstream(files->front()) << "0";
    ::close(gate[1]);
    (void)!::write(there[1], "!", 1);
    ::close(there[1]);
    char byte;
    (void)!::read(gate[0], &byte, 1);
    ::_exit(0);
  }
  ::close(there[1]);
  char byte = 0;
  // The end of the pipe, if the child has died.
  EXPECT_EQ(::read(there[0], &byte, 1), 1);
  ::close(there[0]);
  EXPECT_FALSE(groups_.Remove({8}));
  EXPECT_EQ(groups_.jobs(), std::vector<uint64_t>{8});
  ::close(gate[0]);
  ::close(gate[1]);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(groups_.Remove({8}));
  EXPECT_TRUE(groups_.jobs().empty());
}

TEST_F(LimitGroupsTest, AreRemovedWithTheGroupsThatTheJobMadeBelow) {
  const Result<std::vector<std::string>> files = groups_.Make(9, {64 << 20, std::nullopt});
  ASSERT_TRUE(files.ok()) << files.error().message;
  const std::filesystem::path group = std::filesystem::path(files->front()).parent_path();
  ASSERT_TRUE(std::filesystem::create_directory(group / "a"));
  ASSERT_TRUE(std::filesystem::create_directory(group / "a/b"));
  EXPECT_TRUE(groups_.Remove({9}));
  EXPECT_FALSE(std::filesystem::exists(group));
}

// What a process that died within its constructor left under the name that it tries.
TEST_F(LimitGroupsTest, AreThereThoughAProbeWasLeftBehind) {
  const Result<std::vector<std::string>> files = groups_.Make(10, {64 << 20, std::nullopt});
  ASSERT_TRUE(files.ok()) << files.error().message;
  const std::filesystem::path group = std::filesystem::path(files->front()).parent_path();
  const std::filesystem::path probe =
      group.parent_path() / ("brood-" + OwnerOf(directory_) + "-probe");
  ASSERT_TRUE(std::filesystem::create_directory(probe));
  LimitGroups next(OwnerOf(directory_), record_);
  EXPECT_TRUE(next.bounds_memory());
  EXPECT_EQ(next.jobs(), std::vector<uint64_t>{10}) << "the probe is no job's";
  EXPECT_FALSE(std::filesystem::exists(probe));
  EXPECT_TRUE(next.Remove({10}));
}

// As in a group's folder.
class KilledAtLimitTest : public ::testing::Test {
 protected:
  void Write(const std::string& file, const std::string& text) {
    std::ofstream(directory_.path() + "/" + file) << text;
  }
  bool killed() const { return WasKilledAtLimit(directory_.path()); }

  TempDirectory directory_;
};

TEST_F(KilledAtLimitTest, IsNotWhomTheHostKilledBelowTheLimit) {
  Write("memory.events", "low 0\nhigh 0\nmax 3\noom 0\noom_kill 1\noom_group_kill 0\n");
  EXPECT_FALSE(killed());
  Write("memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n");
  EXPECT_TRUE(killed()) << "before Linux 5.2";
}

TEST_F(KilledAtLimitTest, IsNotWhoReachedALimitOfAGroupBelow) {
  Write("memory.events", "max 3\noom 1\noom_kill 1\n");
  Write("memory.events.local", "max 0\noom 0\noom_kill 0\n");
  EXPECT_FALSE(killed());
  Write("memory.events.local", "max 3\noom 1\noom_kill 0\n");
  EXPECT_TRUE(killed()) << "who lived in a group below was killed for this one's limit";
}

TEST_F(KilledAtLimitTest, IsNotWhoReachedItAndLived) {
  Write("memory.events", "max 3\noom 1\noom_kill 0\n");
  Write("memory.events.local", "max 3\noom 1\noom_kill 0\n");
  EXPECT_FALSE(killed());
}

TEST_F(KilledAtLimitTest, IsToldByTheMostThatItUsedInVersion1) {
  Write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  Write("memory.limit_in_bytes", "67108864\n");
  Write("memory.max_usage_in_bytes", "30000000\n");
  Write("memory.memsw.limit_in_bytes", "67108864\n");
  Write("memory.memsw.max_usage_in_bytes", "30000000\n");
  EXPECT_FALSE(killed()) << "the host had no more";
  Write("memory.memsw.max_usage_in_bytes", "67108864\n");
  EXPECT_TRUE(killed()) << "swap is counted";
  Write("memory.memsw.max_usage_in_bytes", "30000000\n");
  Write("memory.max_usage_in_bytes", "66000000\n");
  EXPECT_TRUE(killed());
}

TEST(AbandonedGroupsTest, OfWhoDiedWhileItEndedATreeAreRemovedByTheNext) {
  const Result<CgroupFolder> home = CgroupFolder::Detect();
  if (!home) GTEST_SKIP() << home.error().message;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const Result<Cgroup> dead = home->Make("brood-end-" + std::to_string(child) + "-7");
  const Result<Cgroup> alive = home->Make("brood-end-" + std::to_string(::getpid()) + "-7");
  // It died, and its pid's number is ours now.
  const Result<Cgroup> same = home->Make("brood-probe-" + std::to_string(::getpid()));
  // What is left of them where this test fails.
  const AtEnd remove([&] {
    for (const Result<Cgroup>* const group : {&dead, &alive, &same})
      if (*group) (void)(*group)->Remove();
  });
  ASSERT_TRUE(dead.ok() && alive.ok() && same.ok());
  EXPECT_TRUE(CgroupFolder::Detect().ok());
  EXPECT_FALSE(std::filesystem::exists(dead->path()));
  EXPECT_FALSE(std::filesystem::exists(same->path()));
  EXPECT_TRUE(std::filesystem::exists(alive->path()));
}

// A group of version 2 with processes of its own has no controllers below it. Tried with whatever
// controller this machine has in version 2.
TEST(LimitGroupsVersion2Test, MovesAwayFromWhereTheControllersAreToBeIfItIsAlone) {
  const Result<CgroupFolder> home = CgroupFolder::Detect();
  if (!home) GTEST_SKIP() << home.error().message;
  std::string controller;
  for (const char* const one : {"memory", "hugetlb", "io", "misc"}) {
    std::ifstream there(home->path() + "/cgroup.controllers");
    for (std::string word; there >> word;) {
      if (word == one && controller.empty()) controller = one;
    }
  }
  if (controller.empty()) GTEST_SKIP() << "version 2 has no controller here";
  const bool was_on = [&] {
    std::ifstream there(home->path() + "/cgroup.subtree_control");
    for (std::string word; there >> word;) {
      if (word == controller) return true;
    }
    return false;
  }();
  if (!was_on && !EnableControllers(home->path(), {controller}))
    GTEST_SKIP() << "this test may not switch on " << controller;
  const AtEnd switch_off([&] {
    if (!was_on) std::ofstream(home->path() + "/cgroup.subtree_control") << "-" + controller;
  });
  Result<Cgroup> group = home->Make("brood-test-limits-" + std::to_string(::getpid()));
  ASSERT_TRUE(group.ok()) << group.error().message;
  const pid_t child = ::fork();
  if (child == 0) {
    if (group->Add(::getpid())) ::_exit(1);
    if (!EnableControllers(group->path(), {controller})) ::_exit(2);
    std::ifstream own("/proc/self/cgroup");
    for (std::string line; std::getline(own, line);) {
      if (line.rfind("0::", 0) == 0 && line.ends_with("/brood-agent")) ::_exit(0);
    }
    ::_exit(3);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(group->Remove().has_value());
}

}  // namespace
}  // namespace brood::testing
