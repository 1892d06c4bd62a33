// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/pidfd_status.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

TEST(SignalGroupOfTest, ReachesAGroupWhoseLeaderIsGoneAndThenNobody) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const pid_t leader = ::fork();
  if (leader == 0) {
    ::setsid();
    const pid_t member = ::fork();
    if (member == 0) {
      // Should the signal never come, its default action ends it, and the test with another one.
      ::alarm(20);
      for (;;) ::pause();
    }
    (void)!::write(told[1], &member, sizeof(member));
    ::_exit(0);
  }
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, leader, 0)));
  pid_t member = 0;
  ASSERT_EQ(::read(told[0], &member, sizeof(member)), static_cast<ssize_t>(sizeof(member)));
  ::close(told[0]);
  ::close(told[1]);
  ASSERT_EQ(::waitpid(leader, nullptr, 0), leader);
  EXPECT_EQ(SignalGroupOf(pidfd.get(), leader, SIGTERM), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(member, &status, 0), member);
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
  EXPECT_EQ(SignalGroupOf(pidfd.get(), leader, SIGTERM), ESRCH);
}

}  // namespace
}  // namespace brood
