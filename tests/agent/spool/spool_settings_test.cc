// SPDX-License-Identifier: Apache-2.0
//
// Output that is not kept as that of most: rings, limits, and files that jobs write themselves.
#include "agent/spool/spool_settings.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/spool/followed_jobs.h"
#include "agent/spool/spool.h"
#include "tests/agent/spool/spool_fixture.h"

namespace brood {
namespace {

using testing::Pattern;

constexpr uint64_t kKeep = 64 << 10;
constexpr auto kOut = OutputStream::kStdout;

// What was told of the one job of a test.
class Told : public Spool::Listener {
 public:
  void OnOutput(uint64_t, OutputStream stream, uint64_t offset, uint64_t length) override {
    const std::lock_guard lock(mutex_);
    uint64_t& end = ends_[stream];
    EXPECT_LE(offset, end) << "something was left out";
    end = std::max(end, offset + length);
    longest_ = std::max(longest_, length);
    changed_.notify_all();
  }
  void OnOutputLimit(uint64_t, OutputStream) override {
    const std::lock_guard lock(mutex_);
    ++limits_;
    changed_.notify_all();
  }
  void OnOutputClosed(uint64_t, const Spool::Closed& closed) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(closed_) << "told twice";
    closed_ = closed;
    changed_.notify_all();
  }
  bool WaitUntil(const std::function<bool()>& so) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), so);
  }
  bool WaitForBytes(uint64_t bytes) {
    return WaitUntil([&] { return ends_[kOut] >= bytes; });
  }
  bool WaitForLimit() {
    return WaitUntil([&] { return limits_ > 0; });
  }
  Spool::Closed WaitForClosed() {
    EXPECT_TRUE(WaitUntil([&] { return closed_.has_value(); }));
    return closed_.value_or(Spool::Closed());
  }
  bool closed() {
    const std::lock_guard lock(mutex_);
    return closed_.has_value();
  }
  uint64_t longest() {
    const std::lock_guard lock(mutex_);
    return longest_;
  }
  void Clear() {
    const std::lock_guard lock(mutex_);
    ends_.clear();
    closed_.reset();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<OutputStream, uint64_t> ends_;
  uint64_t longest_ = 0;
  int limits_ = 0;
  std::optional<Spool::Closed> closed_;
};

void Write(int fd, const std::string& bytes) { ASSERT_TRUE(testing::WriteAll(fd, bytes)); }

uint64_t DiskBytes(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

// Once the spool has looked again.
bool AwaitDiskBytes(const std::string& path, uint64_t most) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (DiskBytes(path) > most) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

uint64_t SizeOf(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

class SpoolSettingsTest : public testing::SpoolFixture {
 protected:
  void SetUp() override { Start(); }
  void Start() { SpoolFixture::Start(&told_); }
  // As an agent that dies and the next one.
  void Restart() {
    Stop();
    told_.Clear();
    Start();
  }

  void Prepare(SpoolSettings::Target target, SpoolSettings::Overflow overflow,
               uint64_t most = kKeep) {
    const Status failed = spool_->Prepare(1, SpoolSettings{target, overflow, most});
    ASSERT_FALSE(failed) << failed->message;
  }
  // The write end of a pipe that the spool reads.
  UniqueFd AttachPipe() {
    testing::Pipe pipe = testing::MakePipe();
    InLoop([&] { spool_->Attach(1, std::move(pipe.read), UniqueFd()); });
    return std::move(pipe.write);
  }
  // The job's own descriptor of its file.
  UniqueFd FollowFile() {
    UniqueFd file(::open(Path().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    EXPECT_TRUE(file);
    InLoop([&] { spool_->Follow(1); });
    return file;
  }
  Spool::Closed Finish() {
    InLoop([&] { spool_->Finish(1); });
    return told_.WaitForClosed();
  }
  std::string Path() const { return spool_->Path(1, kOut); }
  Spool::Piece Read(uint64_t offset, size_t size) {
    Result<Spool::Piece> piece = spool_->Read(1, kOut, offset, size);
    EXPECT_TRUE(piece.ok());
    return piece ? *piece : Spool::Piece();
  }

  Told told_;
};

using Target = SpoolSettings::Target;
using Overflow = SpoolSettings::Overflow;

TEST(SpoolSettingsTextTest, ComesBackAsItWasAndNotWhereItWasCut) {
  const SpoolSettings settings{Target::kFile, Overflow::kRing, 1 << 20};
  const std::string text = ToText(settings);
  EXPECT_EQ(ParseSpoolSettings(text), settings);
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(ParseSpoolSettings(text.substr(0, size))) << size;
  }
  EXPECT_FALSE(ParseSpoolSettings("tape ring 5\n"));
}

TEST_F(SpoolSettingsTest, ARingKeepsTheLastBytesAndLittleMoreOfTheDisk) {
  Prepare(Target::kPipe, Overflow::kRing);
  const std::string bytes = Pattern(8 << 20);
  UniqueFd job = AttachPipe();
  Write(job.get(), bytes);
  job.reset();
  const Spool::Closed closed = Finish();
  EXPECT_EQ(closed.stdout_bytes, bytes.size());
  EXPECT_EQ(closed.stdout_begin, bytes.size() - kKeep);
  EXPECT_EQ(closed.dropped_bytes, bytes.size() - kKeep);
  EXPECT_LE(DiskBytes(Path()), kKeep + 2 * kFreeBytes);
  const Spool::Piece last = Read(0, bytes.size());
  EXPECT_EQ(last.offset, closed.stdout_begin);
  EXPECT_TRUE(last.bytes == bytes.substr(closed.stdout_begin));
  EXPECT_TRUE(Read(0, 1000).bytes.empty());
  EXPECT_EQ(Read(0, 1000).offset, closed.stdout_begin);
}

TEST_F(SpoolSettingsTest, ARingThatIsNotFullLosesNothing) {
  Prepare(Target::kPipe, Overflow::kRing);
  UniqueFd job = AttachPipe();
  Write(job.get(), Pattern(1000));
  job.reset();
  const Spool::Closed closed = Finish();
  EXPECT_EQ(closed.stdout_begin, 0u);
  EXPECT_EQ(closed.dropped_bytes, 0u);
  EXPECT_TRUE(Read(0, 5000).bytes == Pattern(1000));
}

TEST_F(SpoolSettingsTest, ARingGoesOnInTheNextSpool) {
  Prepare(Target::kPipe, Overflow::kRing);
  const std::string bytes = Pattern(3 << 20);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read(ends[0]);
  UniqueFd job(ends[1]);
  InLoop([&] { spool_->Attach(1, UniqueFd(::dup(read.get())), UniqueFd()); });
  Write(job.get(), bytes.substr(0, 2 << 20));
  Restart();
  InLoop([&] { spool_->Attach(1, UniqueFd(::dup(read.get())), UniqueFd()); });
  Write(job.get(), bytes.substr(2 << 20));
  job.reset();
  const Spool::Closed closed = Finish();
  EXPECT_EQ(closed.stdout_bytes, bytes.size());
  EXPECT_TRUE(Read(0, bytes.size()).bytes == bytes.substr(bytes.size() - kKeep));
}

TEST_F(SpoolSettingsTest, NothingOfAFileIsLostWithoutADescriptorToLookAtIt) {
  Prepare(Target::kFile, Overflow::kDrop, 1 << 20);
  UniqueFd file(::open(Path().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  Write(file.get(), Pattern(5000));
  file.reset();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const int free = ::dup(STDIN_FILENO);
  ASSERT_GE(free, 0);
  ::close(free);
  const rlimit none{static_cast<rlim_t>(free), limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  InLoop([&] { spool_->Follow(1); });
  const Spool::Closed closed = Finish();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(closed.stdout_bytes, 5000u);
  EXPECT_TRUE(closed.held_open_unknown);
  EXPECT_EQ(SizeOf(Path()), 5000u);
}

TEST_F(SpoolSettingsTest, PastTheLimitItIsSaidThatTheJobIsToEnd) {
  Prepare(Target::kPipe, Overflow::kEnd);
  UniqueFd job = AttachPipe();
  const std::string bytes = Pattern(kKeep + 1);
  Write(job.get(), bytes);
  EXPECT_TRUE(told_.WaitForLimit());
  job.reset();
  const Spool::Closed closed = Finish();
  EXPECT_EQ(closed.stdout_bytes, kKeep);
  EXPECT_EQ(closed.dropped_bytes, 1u);
  EXPECT_TRUE(Read(0, 2 * kKeep).bytes == bytes.substr(0, kKeep));
}

TEST_F(SpoolSettingsTest, AFileIsFollowedAndClosedAtOnceWhereNobodyHasIt) {
  Prepare(Target::kFile, Overflow::kDrop, 1 << 20);
  UniqueFd job = FollowFile();
  Write(job.get(), "while it runs");
  EXPECT_TRUE(told_.WaitForBytes(13));
  Write(job.get(), ", and at its end");
  job.reset();
  bool within_the_call = false;
  InLoop([&] {
    spool_->Finish(1);
    within_the_call = told_.closed();
  });
  EXPECT_TRUE(within_the_call);
  const Spool::Closed closed = told_.WaitForClosed();
  EXPECT_EQ(closed.stdout_bytes, 29u);
  EXPECT_FALSE(closed.held_open);
  EXPECT_FALSE(closed.held_open_unknown);
  EXPECT_FALSE(closed.truncated);
  EXPECT_EQ(Read(0, 100).bytes, "while it runs, and at its end");
}

TEST_F(SpoolSettingsTest, WhoHoldsAFileOpenIsWaitedForUntilItIsSilentAndNotHeardLater) {
  Prepare(Target::kFile, Overflow::kDrop, 1 << 20);
  const UniqueFd job = FollowFile();
  Write(job.get(), "the job's");
  const Spool::Closed closed = Finish();
  EXPECT_TRUE(closed.held_open);
  EXPECT_EQ(closed.stdout_bytes, 9u);
  // It may be in the file for a while, and is in no answer.
  Write(job.get(), " and a daemon's");
  EXPECT_EQ(Read(0, 100).bytes, "the job's");
}

TEST_F(SpoolSettingsTest, WhatOutlivesTheClosingDoesNotFillTheDisk) {
  Prepare(Target::kFile, Overflow::kRing);
  const UniqueFd job = FollowFile();
  const std::string bytes = Pattern(kKeep + 100);
  Write(job.get(), bytes);
  EXPECT_TRUE(Finish().held_open);
  Restart();
  Write(job.get(), Pattern(4 << 20));
  InLoop([&] { spool_->Settle(1, bytes.size(), 0); });
  EXPECT_EQ(SizeOf(Path()), bytes.size());
  EXPECT_TRUE(Read(0, bytes.size()).bytes == bytes.substr(100));
}

TEST_F(SpoolSettingsTest, OfAFileTheLimitIsKeptByThrowingAwayWhatIsBehind) {
  Prepare(Target::kFile, Overflow::kDrop);
  UniqueFd job = FollowFile();
  const std::string bytes = Pattern(8 << 20);
  Write(job.get(), bytes);
  EXPECT_TRUE(told_.WaitForBytes(kKeep));
  EXPECT_TRUE(AwaitDiskBytes(Path(), kKeep + 2 * kFreeBytes));
  // The job goes on, and finds its file as it left it.
  EXPECT_EQ(SizeOf(Path()), bytes.size());
  job.reset();
  const Spool::Closed closed = Finish();
  EXPECT_EQ(closed.stdout_bytes, kKeep);
  EXPECT_EQ(closed.dropped_bytes, bytes.size() - kKeep);
  EXPECT_EQ(SizeOf(Path()), kKeep);
  EXPECT_TRUE(Read(0, bytes.size()).bytes == bytes.substr(0, kKeep));
}

TEST_F(SpoolSettingsTest, AFileCanBeARing) {
  Prepare(Target::kFile, Overflow::kRing);
  UniqueFd job = FollowFile();
  const std::string bytes = Pattern(8 << 20);
  Write(job.get(), bytes);
  EXPECT_TRUE(told_.WaitForBytes(bytes.size()));
  EXPECT_LE(DiskBytes(Path()), kKeep + 2 * kFreeBytes);
  job.reset();
  const Spool::Closed closed = Finish();
  EXPECT_EQ(closed.stdout_begin, bytes.size() - kKeep);
  EXPECT_TRUE(Read(0, bytes.size()).bytes == bytes.substr(closed.stdout_begin));
}

TEST_F(SpoolSettingsTest, AFileThatWentPastItsLimitIsSaidToHave) {
  Prepare(Target::kFile, Overflow::kEnd);
  const UniqueFd job = FollowFile();
  Write(job.get(), Pattern(kKeep + 1));
  EXPECT_TRUE(told_.WaitForLimit());
}

TEST_F(SpoolSettingsTest, WhatAFileGotWhileNoSpoolLivedIsTold) {
  Prepare(Target::kFile, Overflow::kDrop, 1 << 20);
  UniqueFd job = FollowFile();
  Write(job.get(), "one ");
  EXPECT_TRUE(told_.WaitForBytes(4));
  Stop();
  Write(job.get(), "two");
  job.reset();
  told_.Clear();
  Start();
  // Also where it has ended by now, and is followed for the first time.
  const Spool::Closed closed = Finish();
  EXPECT_EQ(closed.stdout_bytes, 7u);
  EXPECT_EQ(Read(0, 100).bytes, "one two");
}

TEST_F(SpoolSettingsTest, WhatIsFoundIsToldOfInPartsAndAllOfItBeforeTheEnd) {
  Prepare(Target::kFile, Overflow::kDrop, 4 * kTellBytes);
  UniqueFd job = FollowFile();
  // Without a byte of it on the disk.
  ASSERT_EQ(::ftruncate(job.get(), 3 * kTellBytes), 0);
  job.reset();
  EXPECT_EQ(Finish().stdout_bytes, 3 * kTellBytes);
  EXPECT_LE(told_.longest(), kTellBytes);
}

TEST_F(SpoolSettingsTest, AFileThatItsJobTruncatedIsSaidToBe) {
  Prepare(Target::kFile, Overflow::kDrop, 1 << 20);
  UniqueFd job = FollowFile();
  Write(job.get(), "a long beginning");
  EXPECT_TRUE(told_.WaitForBytes(16));
  ASSERT_EQ(::truncate(Path().c_str(), 0), 0);
  Write(job.get(), "short");
  job.reset();
  const Spool::Closed closed = Finish();
  EXPECT_TRUE(closed.truncated);
  // Counted is what was told of; read is what is there.
  EXPECT_EQ(closed.stdout_bytes, 16u);
  EXPECT_EQ(Read(0, 100).bytes, "short");
}

TEST_F(SpoolSettingsTest, AJobThatWroteNothingLeavesNoFile) {
  Prepare(Target::kFile, Overflow::kDrop, 1 << 20);
  FollowFile().reset();
  const Spool::Closed closed = Finish();
  EXPECT_EQ(closed.stdout_bytes + closed.stderr_bytes, 0u);
  EXPECT_NE(::access(Path().c_str(), F_OK), 0);
}

TEST_F(SpoolSettingsTest, WhatNobodyKnowsAnyMoreIsRemoved) {
  for (const uint64_t key : {1, 2, 3000}) {
    ASSERT_FALSE(spool_->Prepare(key, SpoolSettings{Target::kFile, Overflow::kDrop, kKeep}));
  }
  Stop();
  Start();
  InLoop([&] { spool_->RemoveUnknown([](uint64_t key) { return key == 2; }); });
  EXPECT_NE(::access(spool_->Path(1, kOut).c_str(), F_OK), 0);
  EXPECT_EQ(::access(spool_->Path(2, kOut).c_str(), F_OK), 0);
  EXPECT_NE(::access((root_ + "/3").c_str(), F_OK), 0);
  EXPECT_FALSE(spool_->IsFile(1));
  EXPECT_TRUE(spool_->IsFile(2));
}

}  // namespace
}  // namespace brood
