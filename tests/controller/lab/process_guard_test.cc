// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/process_guard.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <csignal>

namespace brood {
namespace {

// Starts a process that nobody waits for, in a session of its own, and returns once it is an
// orphan.
pid_t StartOrphan() {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    const pid_t grandchild = ::fork();
    if (grandchild != 0) ::_exit(::write(ends[1], &grandchild, sizeof(pid_t)) < 0);
    ::close(ends[1]);
    for (;;) ::pause();
  }
  ::close(ends[1]);
  pid_t orphan = 0;
  EXPECT_EQ(::read(ends[0], &orphan, sizeof(orphan)), static_cast<ssize_t>(sizeof(orphan)));
  // The pipe closes when the middle one has ended too (the orphan closed its end).
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);
  ::close(ends[0]);
  return orphan;
}

bool NothingBelowUs() { return ProcessTable::Read().Below({::getpid()}).empty(); }

TEST(ProcessGuardTest, ReturnsWhatTheBodyReturned) {
  const Result<Guarded> guarded = RunGuarded([] { return 7; });
  ASSERT_TRUE(guarded.ok());
  EXPECT_EQ(guarded->exit_code, 7);
  EXPECT_EQ(guarded->stopped_by, 0);
  EXPECT_TRUE(guarded->left.empty());
}

TEST(ProcessGuardTest, SaysThatASignalEndedTheBody) {
  const Result<Guarded> guarded = RunGuarded([] {
    ::signal(SIGKILL, SIG_DFL);
    return ::kill(::getpid(), SIGKILL);
  });
  ASSERT_TRUE(guarded.ok());
  EXPECT_EQ(guarded->exit_code, 128 + SIGKILL);
}

TEST(ProcessGuardTest, FindsAndKillsAnOrphanInASessionOfItsOwn) {
  const Result<Guarded> guarded = RunGuarded([] { return StartOrphan() > 0 ? 0 : 1; });
  ASSERT_TRUE(guarded.ok());
  EXPECT_EQ(guarded->exit_code, 0);
  EXPECT_EQ(guarded->left.size(), 1u);
  EXPECT_TRUE(NothingBelowUs());
}

TEST(ProcessGuardTest, KillsBodyAndOrphansAtASignalToStop) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Result<Guarded> guarded = RunGuarded([signal] {
      StartOrphan();
      ::kill(::getppid(), signal);
      for (;;) ::pause();
      return 0;
    });
    ASSERT_TRUE(guarded.ok());
    EXPECT_EQ(guarded->stopped_by, signal);
    EXPECT_TRUE(NothingBelowUs());
  }
}

}  // namespace
}  // namespace brood
