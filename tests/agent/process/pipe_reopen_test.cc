// SPDX-License-Identifier: Apache-2.0
#include "agent/process/pipe_reopen.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace brood {
namespace {

TEST(PipeReopenTest, FindsAgainWhatOnlyAnotherProcessHolds) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  struct stat status {};
  ASSERT_EQ(::fstat(ends[0], &status), 0);
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // As a job does, both ends of it.
    const int both =
        ::open(("/proc/self/fd/" + std::to_string(ends[1])).c_str(), O_RDWR | O_CLOEXEC);
    ::close(ends[0]);
    ::close(ends[1]);
    (void)!::write(both, "kept", 4);
    (void)!::write(ready[1], "r", 1);
    ::pause();
    ::_exit(0);
  }
  ::close(ends[0]);
  ::close(ends[1]);
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(ReopenPipe(child, status.st_ino + 1'000'000));
  const UniqueFd again = ReopenPipe(child, status.st_ino);
  ASSERT_TRUE(again);
  char text[8] = {};
  EXPECT_EQ(::read(again.get(), text, sizeof(text)), 4);
  EXPECT_EQ(std::string(text), "kept");
  EXPECT_EQ(::read(again.get(), text, sizeof(text)), -1) << "does not block";
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(::read(again.get(), text, sizeof(text)), 0) << "its end is seen";
  EXPECT_FALSE(ReopenPipe(child, status.st_ino));
  ::close(ready[0]);
}

}  // namespace
}  // namespace brood
