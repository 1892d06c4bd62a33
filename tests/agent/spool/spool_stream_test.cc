// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "tests/agent/spool/spool_fixture.h"
#include "tests/testing/thread_state.h"

namespace brood {
namespace {

TEST(SpoolStreamTest, TakesNothingOutOfThePipeBeforeTheFileIsThere) {
  const testing::TempDirectory root;
  const SpoolFiles files(root.path());
  // A file that takes as long to open as this test wants: until somebody reads it.
  ASSERT_EQ(::mkdir((root.path() + "/0").c_str(), 0700), 0);
  const std::string path = root.path() + "/0/1.out";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  testing::Pipe pipe = testing::MakePipe();
  const UniqueFd looks_on(::dup(pipe.read.get()));
  ASSERT_TRUE(testing::WriteAll(pipe.write.get(), "one\n"));

  const auto buffer = std::make_unique<char[]>(kSpoolBufferBytes);
  const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const SpoolContext context{&files, 1 << 20, null.get(), buffer.get()};
  SpoolStream stream;
  stream.Attach(std::move(pipe.read), 0);
  std::atomic<pid_t> tid{0};
  std::thread drains([&] {
    tid = ::gettid();
    tid.notify_one();
    stream.Drain(context, 1, OutputStream::kStdout, 4);
  });
  tid.wait(0);
  testing::WaitUntilAsleep(tid);
  int left = -1;
  EXPECT_EQ(::ioctl(looks_on.get(), FIONREAD, &left), 0);
  EXPECT_EQ(left, 4);
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  drains.join();
}

}  // namespace
}  // namespace brood
