// SPDX-License-Identifier: Apache-2.0
#include "agent/process/cgroup.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "agent/process/tree_kill.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/agent/process/family_process.h"

namespace brood::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

constexpr int64_t kPatienceNanos = int64_t{kPatienceMilliseconds} * 1'000'000;
constexpr char kMounts[] =
    "22 1 0:21 / /proc rw - proc proc rw\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";

TEST(CgroupPathTest, JoinsMountPointAndOwnGroup) {
  EXPECT_EQ(OwnCgroupPath(kMounts, "1:cpu:/x\n0::/user.slice/a\n"),
            "/sys/fs/cgroup/unified/user.slice/a");
  EXPECT_EQ(OwnCgroupPath(kMounts, "0::/\n"), "/sys/fs/cgroup/unified");
}

TEST(CgroupPathTest, UnderstandsAMountOfAPartOfTheTree) {
  const std::string mounts = "41 31 0:38 /pod /cg rw - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(OwnCgroupPath(mounts, "0::/pod/a\n"), "/cg/a");
  EXPECT_EQ(OwnCgroupPath(mounts, "0::/pod\n"), "/cg");
  EXPECT_EQ(OwnCgroupPath(mounts, "0::/podium\n"), "");
  EXPECT_EQ(OwnCgroupPath(mounts, "0::/\n"), "");
}

TEST(CgroupPathTest, UnderstandsABlankInTheMountPoint) {
  EXPECT_EQ(OwnCgroupPath("41 31 0:38 / /my\\040cg rw - cgroup2 cgroup2 rw\n", "0::/a\n"),
            "/my cg/a");
}

TEST(CgroupPathTest, FindsNoneWhereThereIsNone) {
  EXPECT_EQ(OwnCgroupPath("", ""), "");
  EXPECT_EQ(OwnCgroupPath(kMounts, "1:cpu:/x\n"), "");
  EXPECT_EQ(OwnCgroupPath("22 1 0:21 / /proc rw - proc proc rw\n", "0::/a\n"), "");
  EXPECT_EQ(OwnCgroupPath(kMounts, "0::/../other\n"), "") << "outside our namespace";
}

TEST(CgroupTest, SaysWhyThereIsNoneWithoutAMount) {
  const pid_t child = ::fork();
  if (child == 0) {
    // No cgroup2 in sight: an empty /sys of our own.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      ::_exit(77);
    }
    for (const char* path : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
      ::umount2(path, MNT_DETACH);
    }
    const Result<CgroupFolder> folder = CgroupFolder::Detect();
    if (folder.ok()) ::_exit(1);
    ::_exit(folder.error().code == ErrorCode::kFailedPrecondition &&
                    folder.error().message.find("no cgroup2 file system is mounted") !=
                        std::string::npos
                ? 0
                : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no right to a mount namespace of our own";
  EXPECT_EQ(status, 0);
}

// In a mount namespace of this test's own, with cgroup2 mounted if it was not.
class CgroupInNamespaceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (CgroupFolder::Detect().ok()) return;
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      *reason() = std::string("no mount namespace of our own: ") + std::strerror(errno);
      return;
    }
    char folder[] = "/tmp/brood-cgroup-XXXXXX";
    *mount_point() = ::mkdtemp(folder);
    if (::mount("none", folder, "cgroup2", 0, nullptr) != 0) {
      *reason() = std::string("cgroup2 cannot be mounted: ") + std::strerror(errno);
    }
  }
  static void TearDownTestSuite() {
    if (mount_point()->empty()) return;
    ::umount2(mount_point()->c_str(), MNT_DETACH);
    ::rmdir(mount_point()->c_str());
  }
  void SetUp() override {
    if (!reason()->empty()) GTEST_SKIP() << *reason();
    Result<CgroupFolder> folder = CgroupFolder::Detect();
    if (!folder) GTEST_SKIP() << folder.error().message;
    name_ = "brood-test-" + std::to_string(::getpid());
    group_ = folder->Make(name_);
    ASSERT_TRUE(group_.ok()) << group_.error().message;
    folder_ = folder->path();
  }
  void TearDown() override {
    if (!group_.ok()) return;
    (void)group_->Kill();
    (void)group_->WaitEmpty(kPatienceNanos);
    EXPECT_FALSE(group_->Remove().has_value());
  }

  static std::string* reason() {
    static std::string text;
    return &text;
  }
  static std::string* mount_point() {
    static std::string path;
    return &path;
  }

  std::string name_;
  std::string folder_;
  Result<Cgroup> group_ = Error();
};

TEST_F(CgroupInNamespaceTest, HoldsWhatItsMembersStart) {
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    (void)!::read(go[0], &byte, 1);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) ::setsid();
    for (;;) ::pause();
  }
  ASSERT_FALSE(group_->Add(child).has_value());
  ASSERT_EQ(::write(go[1], "x", 1), 1);
  ::close(go[0]);
  ::close(go[1]);
  const auto populated = group_->WaitEmpty(0);
  ASSERT_TRUE(populated.ok());
  EXPECT_FALSE(*populated);
  const auto pids = group_->Processes();
  ASSERT_TRUE(pids.ok());
  EXPECT_THAT(*pids, ::testing::Contains(child));
  ASSERT_FALSE(group_->Kill().has_value());
  EXPECT_TRUE(*group_->WaitEmpty(kPatienceNanos));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST_F(CgroupInNamespaceTest, EndsATreeInOneStepAndGoes) {
  const Result<CgroupFolder> folder = CgroupFolder::Detect();
  ASSERT_TRUE(folder.ok());
  const auto groups = [this] {
    const std::filesystem::directory_iterator entries(folder_);
    return std::count_if(begin(entries), end(entries), [](const auto& entry) {
      return entry.path().filename().string().starts_with("brood-end-");
    });
  };
  Family family("in-a-group", {"children", "20"}, 21);
  const TreeKilled killed = KillTree(family.root(), {}, &*folder);
  EXPECT_EQ(killed.killed.size(), 21u);
  EXPECT_TRUE(killed.survivors.empty());
  EXPECT_TRUE(family.AllEnded());
  EXPECT_EQ(groups(), 0);
}

TEST_F(CgroupInNamespaceTest, EndsATreeThatForksAwayAllTheTime) {
  const Result<CgroupFolder> folder = CgroupFolder::Detect();
  ASSERT_TRUE(folder.ok());
  Family family("hopper-in-a-group", {"hop"}, 1);
  EXPECT_TRUE(KillTree(family.root(), {}, &*folder).survivors.empty());
  EXPECT_TRUE(family.AllEnded());
}

TEST_F(CgroupInNamespaceTest, KillsWhatForksAwayAllTheTime) {
  Family family("hopper", {"hop"}, 1);
  // The first was counted before it was in: kill by scan what stayed outside.
  const auto members = FindTree(family.root(), {});
  for (const ProcessEntry& process : members) (void)group_->Add(process.pid);
  ASSERT_FALSE(group_->Kill().has_value());
  EXPECT_TRUE(*group_->WaitEmpty(kPatienceNanos));
}

TEST_F(CgroupInNamespaceTest, IsNotRemovedWhileSomebodyLivesInIt) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  ASSERT_FALSE(group_->Add(child).has_value());
  const Status refused = group_->Remove();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->code, ErrorCode::kUnavailable);
  EXPECT_EQ(refused->reason, "EBUSY");
  ASSERT_FALSE(group_->Kill().has_value());
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST_F(CgroupInNamespaceTest, IsRemovedWithTheGroupsBelowIt) {
  ASSERT_EQ(::mkdir((group_->path() + "/a").c_str(), 0755), 0);
  ASSERT_EQ(::mkdir((group_->path() + "/a/b").c_str(), 0755), 0);
  EXPECT_FALSE(group_->Remove().has_value());
  EXPECT_NE(::access(group_->path().c_str(), F_OK), 0);
  EXPECT_FALSE(group_->Remove().has_value()) << "a second time is no error";
}

TEST_F(CgroupInNamespaceTest, IsMadeOnce) {
  const auto folder = CgroupFolder::Detect();
  ASSERT_TRUE(folder.ok());
  const auto twice = folder->Make(name_);
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().code, ErrorCode::kAlreadyExists);
}

TEST_F(CgroupInNamespaceTest, RefusesNamesThatLeaveTheFolder) {
  const auto folder = CgroupFolder::Detect();
  ASSERT_TRUE(folder.ok());
  for (const std::string& name :
       {std::string(), std::string(".."), std::string("a/b"), std::string("../x"),
        std::string("a\nb"), std::string(201, 'x')}) {
    EXPECT_EQ(folder->Make(name).error().code, ErrorCode::kInvalidArgument) << name;
  }
}

}  // namespace
}  // namespace brood::testing
