// SPDX-License-Identifier: Apache-2.0
//
// How a parent ends, who goes on, and what is known of it after.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdint>
#include <string>

#include "tests/agent/parent/calls_fixture.h"
#include "tests/testing/parent_driver.h"

#if defined(__has_feature)
#define BROOD_HAS_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define BROOD_HAS_THREAD_SANITIZER 0
#endif

namespace brood::testing {
namespace {

// The numbers of brood.v1.ParentEnd.
constexpr int kReturn = 1;
constexpr int kExit = 2;
constexpr int kAbort = 3;
constexpr int kKill = 4;
constexpr int kThreadExit = 5;

class ParentEndTest : public CallsFixture {
 protected:
  // Ends it while a thread and a fork hold, and a command sleeps.
  void EndBy(int how) {
    thread_ = Start("hold", {Int(3'600'000)}, kThread);
    fork_ = Start("hold", {Int(20)}, kFork);
    command_ = driver_.Start(driver_.Command({"sh", "-c", "read line; exit 11"}));
    ASSERT_NE(driver_.Await(thread_, NoteKind::kProgress), nullptr);
    ASSERT_NE(driver_.Await(fork_, NoteKind::kStarted), nullptr);
    ASSERT_NE(driver_.Await(command_, NoteKind::kStarted), nullptr);
    driver_.End(how);
    ASSERT_TRUE(driver_.Wait([this] { return driver_.Count(0, NoteKind::kParentEnding) == 1; }));
  }

  // The jobs that are processes come to us and have their true status.
  void ExpectOrphans() {
    EXPECT_EQ(driver_.Count(thread_, NoteKind::kReturned), 0u);
    const SeenNote* const forked = driver_.Await(fork_, NoteKind::kStarted);
    EXPECT_TRUE(Ended(fork_) || driver_.AwaitOrphan(forked->note.pid) == 0);
    CallArea area;
    ASSERT_TRUE(driver_.Slots().ReadArea(forked->note.slot, &area));
    EXPECT_EQ(area.result, kCallReturned) << "its result outlives the parent";
    const SeenNote* const command = driver_.Await(command_, NoteKind::kStarted);
    if (!Ended(command_)) {
      const std::optional<int> status = driver_.AwaitOrphan(command->note.pid);
      ASSERT_TRUE(status.has_value());
      EXPECT_EQ(WEXITSTATUS(*status), 11);
    }
  }

  bool Ended(uint64_t job) const { return driver_.Count(job, NoteKind::kExited) == 1; }

  uint64_t thread_ = 0;
  uint64_t fork_ = 0;
  uint64_t command_ = 0;
};

TEST_F(ParentEndTest, ReturnsFromMainAndTakesItsThreadsAlong) {
  EndBy(kReturn);
  EXPECT_EQ(driver_.AwaitParentEnd(), 0);
  ExpectOrphans();
}

TEST_F(ParentEndTest, Exits) {
  EndBy(kExit);
  EXPECT_EQ(driver_.AwaitParentEnd(), 0);
  ExpectOrphans();
}

TEST_F(ParentEndTest, Aborts) {
  EndBy(kAbort);
  const std::optional<int> status = driver_.AwaitParentEnd();
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(WIFSIGNALED(*status));
  EXPECT_EQ(WTERMSIG(*status), SIGABRT);
  ExpectOrphans();
  LastWords words;
  ASSERT_TRUE(driver_.Slots().ReadLastWords(&words));
  EXPECT_EQ(words.signal, SIGABRT);
  EXPECT_EQ(words.culprit_job_key, 0u) << "it was told to";
}

TEST_F(ParentEndTest, KillsItself) {
  EndBy(kKill);
  const std::optional<int> status = driver_.AwaitParentEnd();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WTERMSIG(*status), SIGKILL);
  ExpectOrphans();
}

TEST_F(ParentEndTest, LeavesByThreadExitAndItsThreadsGoOn) {
  const uint64_t thread = Start("hold", {Int(300)}, kThread);
  ASSERT_NE(driver_.Await(thread, NoteKind::kStarted), nullptr);
  driver_.End(kThreadExit);
  const SeenNote* const ended = driver_.AwaitEnd(thread);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kReturned);
  ASSERT_TRUE(driver_.Wait([this] { return driver_.Count(0, NoteKind::kParentEnding) == 1; }));
  for (const SeenNote& seen : driver_.notes()) {
    if (seen.note.kind == NoteKind::kParentEnding) {
      EXPECT_LT(seen.note.boot_ns, ended->note.boot_ns);
      EXPECT_EQ(seen.note.status, kThreadExit);
    }
  }
#if !defined(__SANITIZE_THREAD__) && !BROOD_HAS_THREAD_SANITIZER
  // With the last of them the process ends (the sanitizer has a thread of its own that stays).
  EXPECT_EQ(driver_.AwaitParentEnd(), 0);
#endif
}

TEST_F(ParentEndTest, LeavesThePidInTheSlotWhereItWasKilledBeforeItCouldNoteTheStart) {
  const uint64_t job = driver_.Start(driver_.Command({"sh", "-c", "kill -9 $PPID; exit 21"}));
  const std::optional<int> parent = driver_.AwaitParentEnd();
  ASSERT_TRUE(parent.has_value());
  EXPECT_EQ(WTERMSIG(*parent), SIGKILL);
  const SlotReader slots = driver_.Slots();
  StartSlot start;
  for (uint32_t slot = 0; slot < slots.slots() && start.job_key != job; ++slot) {
    ASSERT_TRUE(slots.ReadStart(slot, &start));
  }
  ASSERT_EQ(start.job_key, job);
  ASSERT_GT(start.pid, 0);
  EXPECT_GT(start.start_ns, 0);
  const std::optional<int> status = driver_.AwaitOrphan(start.pid);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WEXITSTATUS(*status), 21) << "the job went on to its own end";
}

TEST_F(ParentEndTest, LeavesAfterItsDeadlineWhereSomethingKeepsItFromEnding) {
  EXPECT_TRUE(Run("linger", {}, kThread).returned);
  driver_.End(kReturn);
  const std::optional<int> status = driver_.AwaitParentEnd();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WEXITSTATUS(*status), 125);
  EXPECT_NE(driver_.Log().find("did not end in time"), std::string::npos);
}

struct CulpritCase {
  const char* how;
  int signal;
};

class ParentCulpritTest : public CallsFixture, public ::testing::WithParamInterface<CulpritCase> {};

INSTANTIATE_TEST_SUITE_P(Crashes, ParentCulpritTest,
                         ::testing::Values(CulpritCase{"segv", SIGSEGV},
                                           CulpritCase{"abort", SIGABRT},
                                           CulpritCase{"overflow", SIGSEGV}),
                         [](const auto& crash) { return std::string(crash.param.how); });

TEST_P(ParentCulpritTest, IsNamedInTheLastWords) {
  const uint64_t victim = Start("hold", {Int(3'600'000)}, kThread);
  ASSERT_NE(driver_.Await(victim, NoteKind::kStarted), nullptr);
  const uint64_t culprit = Start("crash", {Text(GetParam().how)}, kThread);
  const std::optional<int> status = driver_.AwaitParentEnd();
  ASSERT_TRUE(status.has_value());
  ASSERT_TRUE(WIFSIGNALED(*status));
  EXPECT_EQ(WTERMSIG(*status), GetParam().signal);
  LastWords words;
  ASSERT_TRUE(driver_.Slots().ReadLastWords(&words));
  EXPECT_EQ(words.signal, GetParam().signal);
  EXPECT_EQ(words.culprit_job_key, culprit);
}

TEST_F(ParentEndTest, NamesTheJobWhoseTaskCalledExit) {
  const uint64_t culprit = Start("crash", {Text("exit"), Int(5)}, kThread);
  const std::optional<int> status = driver_.AwaitParentEnd();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WEXITSTATUS(*status), 5);
  LastWords words;
  ASSERT_TRUE(driver_.Slots().ReadLastWords(&words));
  EXPECT_EQ(words.signal, 0);
  EXPECT_EQ(words.culprit_job_key, culprit);
}

}  // namespace
}  // namespace brood::testing
