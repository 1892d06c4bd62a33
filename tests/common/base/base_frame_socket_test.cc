// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/frame_socket.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

class FrameSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    near_ = std::make_unique<FrameSocket>(UniqueFd(ends[0]));
    far_ = std::make_unique<FrameSocket>(UniqueFd(ends[1]));
  }

  // What the far end gets now.
  std::vector<std::string> Receive() {
    std::vector<std::string> frames;
    open_ = far_->Receive([&frames](std::string_view payload) { frames.emplace_back(payload); });
    return frames;
  }
  bool open() const { return open_.ok() && *open_; }

  void SendRaw(const std::string& bytes) {
    ASSERT_EQ(::write(near_->fd(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  std::unique_ptr<FrameSocket> near_;
  std::unique_ptr<FrameSocket> far_;
  Result<bool> open_ = true;
};

ino_t InodeOf(int fd) {
  struct stat seen {};
  EXPECT_EQ(::fstat(fd, &seen), 0);
  return seen.st_ino;
}

UniqueFd AnyFile() { return UniqueFd(::memfd_create("frame", MFD_CLOEXEC)); }

TEST_F(FrameSocketTest, KeepsFramesApartAndInOrder) {
  EXPECT_FALSE(near_->Send("one"));
  EXPECT_FALSE(near_->Send(""));
  EXPECT_FALSE(near_->Send(std::string(100'000, 'x')));
  EXPECT_EQ(Receive(), (std::vector<std::string>{"one", "", std::string(100'000, 'x')}));
  EXPECT_TRUE(open());
  EXPECT_TRUE(Receive().empty());
  EXPECT_TRUE(open());
}

TEST_F(FrameSocketTest, PutsAFrameTogetherThatComesByteByByte) {
  const std::string bytes("\5\0\0\0hello", 9);
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_TRUE(Receive().empty());
    SendRaw(bytes.substr(i, 1));
  }
  EXPECT_EQ(Receive(), std::vector<std::string>{"hello"});
}

TEST_F(FrameSocketTest, SaysWhenThePeerIsGone) {
  EXPECT_FALSE(near_->Send("last"));
  near_.reset();
  EXPECT_EQ(Receive(), std::vector<std::string>{"last"});
  Receive();
  EXPECT_TRUE(open_.ok());
  EXPECT_FALSE(open());
  EXPECT_TRUE(far_->Send("to nobody").has_value());
}

TEST_F(FrameSocketTest, RefusesALengthOverTheLimit) {
  SendRaw(std::string("\xff\xff\xff\xff", 4));
  Receive();
  ASSERT_FALSE(open_.ok());
  EXPECT_EQ(open_.error().reason, "BROKEN_FRAME");
  EXPECT_EQ(near_->Send(std::string(kFrameBytesMax + 1, 'x'))->reason, "FRAME_TOO_LARGE");
}

TEST_F(FrameSocketTest, PassesDescriptorsWithTheirFrame) {
  std::vector<UniqueFd> files;
  std::vector<int> numbers;
  for (size_t i = 0; i < kFrameFdsMax; ++i) {
    files.push_back(AnyFile());
    numbers.push_back(files.back().get());
  }
  EXPECT_FALSE(near_->Send("many", numbers));
  EXPECT_FALSE(near_->Send("none"));
  EXPECT_FALSE(near_->Send("one", {numbers[7]}));
  EXPECT_EQ(Receive(), (std::vector<std::string>{"many", "none", "one"}));
  for (const UniqueFd& file : files) {
    const UniqueFd taken = far_->TakeFd();
    ASSERT_TRUE(taken);
    EXPECT_EQ(InodeOf(taken.get()), InodeOf(file.get()));
    EXPECT_NE(::fcntl(taken.get(), F_GETFD) & FD_CLOEXEC, 0);
  }
  const UniqueFd taken = far_->TakeFd();
  ASSERT_TRUE(taken);
  EXPECT_EQ(InodeOf(taken.get()), InodeOf(numbers[7]));
  EXPECT_FALSE(far_->TakeFd());
  numbers.push_back(numbers[0]);
  EXPECT_TRUE(near_->Send("too many", numbers).has_value());
}

TEST_F(FrameSocketTest, KeepsWhatThePeerDoesNotTakeAndItsDescriptors) {
  const std::string large(300'000, 'l');
  std::vector<ino_t> sent;
  int frames = 0;
  while (!near_->wants_write()) {
    ASSERT_FALSE(near_->Send(large));
    ++frames;
  }
  for (int i = 0; i < 3; ++i) {
    const UniqueFd file = AnyFile();
    sent.push_back(InodeOf(file.get()));
    // Closed here before it has gone.
    ASSERT_FALSE(near_->Send("late " + std::to_string(i), {file.get()}));
  }
  std::vector<std::string> got;
  while (got.size() < static_cast<size_t>(frames) + 3) {
    for (std::string& frame : Receive()) got.push_back(std::move(frame));
    ASSERT_TRUE(open());
    ASSERT_FALSE(near_->Flush());
  }
  EXPECT_FALSE(near_->wants_write());
  EXPECT_EQ(got[0], large);
  EXPECT_EQ(got.back(), "late 2");
  for (const ino_t inode : sent) EXPECT_EQ(InodeOf(far_->TakeFd().get()), inode);
}

TEST_F(FrameSocketTest, GivesAPeerUpThatNeverReads) {
  const std::string large(kFrameBytesMax, 'l');
  Status failed;
  for (size_t sent = 0; sent < 2 * kFrameBacklogBytesMax && !failed; sent += large.size()) {
    failed = near_->Send(large);
  }
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->reason, "PEER_STUCK");
}

TEST_F(FrameSocketTest, GoesOnWithoutTheDescriptorsThatItHadNoRoomFor) {
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  ASSERT_FALSE(near_->Send("two", {STDIN_FILENO, STDIN_FILENO}));
  const UniqueFd next(::dup(STDIN_FILENO));
  // Room for one of the two.
  const rlimit tight{static_cast<rlim_t>(next.get()) + 2, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  int frames = 0;
  const auto take = [&](std::string_view) {
    ++frames;
    EXPECT_FALSE(far_->TakeFd());
    EXPECT_FALSE(far_->TakeFd());
  };
  const Result<bool> open = far_->Receive(take);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_TRUE(open.ok() && *open);
  EXPECT_EQ(frames, 1);
  ASSERT_FALSE(near_->Send("one", {STDIN_FILENO}));
  EXPECT_TRUE(far_->Receive([&](std::string_view) { EXPECT_TRUE(far_->TakeFd()); }).ok());
}

TEST_F(FrameSocketTest, CarriesMuchBothWaysAtOnce) {
  constexpr int kFrames = 2000;
  const auto pump = [](FrameSocket* socket) {
    int sent = 0;
    int got = 0;
    bool good = true;
    while (good && (got < kFrames || sent < kFrames || socket->wants_write())) {
      if (sent < kFrames && !socket->wants_write()) {
        good = !socket->Send(std::string(static_cast<size_t>(sent % 5000), 'f'));
        ++sent;
        continue;
      }
      const short wanted = socket->wants_write() ? POLLIN | POLLOUT : POLLIN;
      pollfd ready{socket->fd(), wanted, 0};
      ::poll(&ready, 1, 1000);
      good = !socket->Flush();
      const Result<bool> open = socket->Receive([&](std::string_view payload) {
        good = good && payload.size() == static_cast<size_t>(got++ % 5000);
      });
      good = good && open.ok() && (*open || got == kFrames);
    }
    return good;
  };
  bool far_good = false;
  std::thread other([&] { far_good = pump(far_.get()); });
  EXPECT_TRUE(pump(near_.get()));
  other.join();
  EXPECT_TRUE(far_good);
}

}  // namespace
}  // namespace brood
