// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "tests/agent/spool/spool_fixture.h"

namespace brood {
namespace {

namespace fs = std::filesystem;
using testing::MakePipe;
using testing::Pattern;
using testing::Pipe;
using testing::WriteAll;

struct MarkSeen {
  OutputStream stream;
  uint64_t offset;
  uint64_t length;
};

// Notes what the spool tells; waits for it with a deadline.
class Ear : public Spool::Listener {
 public:
  void OnOutput(uint64_t job_key, OutputStream stream, uint64_t offset, uint64_t length) override {
    const std::lock_guard lock(mutex_);
    marks_[job_key].push_back({stream, offset, length});
    changed_.notify_all();
  }
  void OnOutputClosed(uint64_t job_key, const Spool::Closed& closed) override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(closed_.count(job_key), 0U) << "told twice";
    closed_[job_key] = closed;
    changed_.notify_all();
  }

  // The marks of a job so far.
  std::vector<MarkSeen> marks(uint64_t job_key) {
    const std::lock_guard lock(mutex_);
    return marks_[job_key];
  }
  bool closed(uint64_t job_key) {
    const std::lock_guard lock(mutex_);
    return closed_.count(job_key) > 0;
  }
  // Bytes marked of both streams.
  static uint64_t Sum(const std::vector<MarkSeen>& marks) {
    uint64_t sum = 0;
    for (const MarkSeen& mark : marks) sum += mark.length;
    return sum;
  }
  bool WaitForBytes(uint64_t job_key, uint64_t bytes) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return Sum(marks_[job_key]) >= bytes; });
  }
  Spool::Closed WaitForClosed(uint64_t job_key) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kDeadline, [&] { return closed_.count(job_key) > 0; }));
    return closed_[job_key];
  }

 private:
  static constexpr std::chrono::seconds kDeadline{20};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, std::vector<MarkSeen>> marks_;
  std::map<uint64_t, Spool::Closed> closed_;
};

size_t OpenDescriptors() {
  const fs::directory_iterator entries("/proc/self/fd");
  return static_cast<size_t>(std::distance(entries, fs::directory_iterator()));
}

class SpoolTest : public testing::SpoolFixture {
 protected:
  void Start(SpoolOptions options = {}) { SpoolFixture::Start(&ear_, options); }

  // Attaches a job and gives the write ends.
  std::pair<UniqueFd, UniqueFd> Attach(uint64_t job_key) {
    Pipe out = MakePipe();
    Pipe err = MakePipe();
    InLoop([&] { spool_->Attach(job_key, std::move(out.read), std::move(err.read)); });
    return {std::move(out.write), std::move(err.write)};
  }
  void Attach(uint64_t job_key, const Pipe& out) {
    InLoop([&] { spool_->Attach(job_key, UniqueFd(::dup(out.read.get())), UniqueFd()); });
  }
  void Finish(uint64_t job_key) {
    InLoop([&] { spool_->Finish(job_key); });
  }
  std::string ReadAll(uint64_t job_key, OutputStream stream) {
    std::string all;
    for (;;) {
      Result<Spool::Piece> part = spool_->Read(job_key, stream, all.size(), 65'536);
      if (!part) {
        EXPECT_EQ(part.error().code, ErrorCode::kNotFound);
        return "not found";
      }
      if (part->bytes.empty()) return all;
      all += part->bytes;
    }
  }
  void ExpectContiguous(uint64_t job_key, uint64_t out, uint64_t err) {
    uint64_t ends[2] = {0, 0};
    for (const MarkSeen& mark : ear_.marks(job_key)) {
      uint64_t& end = ends[static_cast<size_t>(mark.stream)];
      EXPECT_EQ(mark.offset, end);
      EXPECT_GT(mark.length, 0U);
      EXPECT_LE(mark.length, kOutputMarkBytes);
      end += mark.length;
    }
    EXPECT_EQ(ends[0], out);
    EXPECT_EQ(ends[1], err);
  }

  Ear ear_;
};

TEST_F(SpoolTest, KeepsTheExactBytesOfBothStreams) {
  Start();
  auto [out, err] = Attach(7);
  ASSERT_TRUE(WriteAll(out.get(), "no newline"));
  ASSERT_TRUE(WriteAll(err.get(), std::string("a\0b\n\xFF", 5)));
  out.reset();
  err.reset();
  Finish(7);
  const Spool::Closed closed = ear_.WaitForClosed(7);
  EXPECT_EQ(closed.stdout_bytes, 10U);
  EXPECT_EQ(closed.stderr_bytes, 5U);
  EXPECT_EQ(closed.dropped_bytes, 0U);
  EXPECT_FALSE(closed.held_open);
  EXPECT_EQ(ReadAll(7, OutputStream::kStdout), "no newline");
  EXPECT_EQ(ReadAll(7, OutputStream::kStderr), std::string("a\0b\n\xFF", 5));
  ExpectContiguous(7, 10, 5);
}

TEST_F(SpoolTest, AShortJobIsClosedWithinFinish) {
  Start();
  Pipe out = MakePipe();
  Pipe err = MakePipe();
  InLoop([&] {
    spool_->Attach(1, std::move(out.read), std::move(err.read));
    ASSERT_TRUE(WriteAll(out.write.get(), "hello\n"));
    out.write.reset();
    err.write.reset();
    spool_->Finish(1);
    EXPECT_TRUE(ear_.closed(1));
  });
  EXPECT_EQ(ReadAll(1, OutputStream::kStdout), "hello\n");
  EXPECT_EQ(ear_.marks(1).size(), 1U);
}

TEST_F(SpoolTest, MarksTheFirstBytesOfARunningJob) {
  Start();
  auto [out, err] = Attach(1);
  ASSERT_TRUE(WriteAll(out.get(), "first"));
  EXPECT_TRUE(ear_.WaitForBytes(1, 5));
  ASSERT_TRUE(WriteAll(out.get(), "second"));
  EXPECT_TRUE(ear_.WaitForBytes(1, 11)) << "the timer marks what came too soon after a mark";
  EXPECT_FALSE(ear_.closed(1));
  EXPECT_EQ(ReadAll(1, OutputStream::kStdout), "firstsecond");
}

TEST_F(SpoolTest, KeepsMegabytesOfBinaryOutputInMarksOfAtMost64KiB) {
  Start();
  auto [out, err] = Attach(1);
  const std::string bytes = Pattern(5'000'003);
  ASSERT_TRUE(WriteAll(out.get(), bytes));
  out.reset();
  err.reset();
  Finish(1);
  EXPECT_EQ(ear_.WaitForClosed(1).stdout_bytes, bytes.size());
  EXPECT_TRUE(ReadAll(1, OutputStream::kStdout) == bytes);
  ExpectContiguous(1, bytes.size(), 0);
}

TEST_F(SpoolTest, ReadsFromAnyOffsetAndIsEmptyAtTheEnd) {
  Start();
  auto [out, err] = Attach(1);
  ASSERT_TRUE(WriteAll(out.get(), "0123456789"));
  ASSERT_TRUE(ear_.WaitForBytes(1, 10));
  EXPECT_EQ(spool_->Read(1, OutputStream::kStdout, 3, 4)->bytes, "3456");
  EXPECT_EQ(spool_->Read(1, OutputStream::kStdout, 10, 4)->bytes, "");
  EXPECT_EQ(spool_->Read(1, OutputStream::kStdout, 99, 4)->bytes, "");
  EXPECT_EQ(spool_->Read(1, OutputStream::kStderr, 0, 4).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(spool_->Read(2, OutputStream::kStdout, 0, 4).error().code, ErrorCode::kNotFound);
}

TEST_F(SpoolTest, PastTheCapBytesAreCountedAndTheJobGoesOn) {
  Start({.stream_bytes_max = 100'000});
  auto [out, err] = Attach(1);
  const std::string bytes = Pattern(1'000'000);
  ASSERT_TRUE(WriteAll(out.get(), bytes));
  ASSERT_TRUE(WriteAll(err.get(), "still kept"));
  out.reset();
  err.reset();
  Finish(1);
  const Spool::Closed closed = ear_.WaitForClosed(1);
  EXPECT_EQ(closed.stdout_bytes, 100'000U);
  EXPECT_EQ(closed.stderr_bytes, 10U);
  EXPECT_EQ(closed.dropped_bytes, 900'000U);
  EXPECT_TRUE(ReadAll(1, OutputStream::kStdout) == bytes.substr(0, 100'000));
  ExpectContiguous(1, 100'000, 10);
}

TEST_F(SpoolTest, ADiskThatTakesNoMoreDropsAndCounts) {
  Start();
  auto [out, err] = Attach(1);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = old;
  tight.rlim_cur = 50'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_TRUE(WriteAll(out.get(), Pattern(300'000)));
  out.reset();
  err.reset();
  Finish(1);
  const Spool::Closed closed = ear_.WaitForClosed(1);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, SIG_DFL);
  EXPECT_EQ(closed.stdout_bytes, 50'000U);
  EXPECT_EQ(closed.dropped_bytes, 250'000U);
  EXPECT_TRUE(ReadAll(1, OutputStream::kStdout) == Pattern(300'000).substr(0, 50'000));
}

TEST_F(SpoolTest, AFloodDoesNotStarveOthers) {
  Start({.stream_bytes_max = 1 << 20});
  auto [flood, flood_err] = Attach(1);
  auto [out, err] = Attach(2);
  std::atomic<bool> stop{false};
  std::thread flooder([&, fd = flood.get()] {
    const std::string bytes(65'536, 'f');
    while (!stop && WriteAll(fd, bytes)) {
    }
  });
  // Whatever comes of it, the thread is joined.
  EXPECT_TRUE(ear_.WaitForBytes(1, 1 << 20));
  EXPECT_TRUE(WriteAll(out.get(), "heard"));
  EXPECT_TRUE(ear_.WaitForBytes(2, 5));
  stop = true;
  flooder.join();
  flood.reset();
  flood_err.reset();
  Finish(1);
  EXPECT_GT(ear_.WaitForClosed(1).dropped_bytes, 0U);
}

TEST_F(SpoolTest, AHolderThatIsSilentDoesNotKeepTheJobOpen) {
  Start();
  auto [out, err] = Attach(1);
  ASSERT_TRUE(WriteAll(out.get(), "before"));
  Finish(1);
  EXPECT_FALSE(ear_.closed(1));
  const int64_t written = BootTimeNanos();
  ASSERT_TRUE(WriteAll(err.get(), "after"));
  const Spool::Closed closed = ear_.WaitForClosed(1);
  EXPECT_TRUE(closed.held_open);
  EXPECT_EQ(closed.stdout_bytes, 6U);
  EXPECT_EQ(closed.stderr_bytes, 5U);
  EXPECT_GE(BootTimeNanos() - written, kOutputSilenceNanos) << "each byte re-arms the silence";
  EXPECT_FALSE(WriteAll(out.get(), "x")) << "the read ends are closed";
}

TEST_F(SpoolTest, AGrandchildThatWritesWithinTheSilenceIsHeard) {
  Start();
  Pipe control = MakePipe();
  auto [out, err] = Attach(1);
  // The job's leader ends at once; its child lives on with the pipes.
  const pid_t leader = ::fork();
  ASSERT_GE(leader, 0);
  if (leader == 0) {
    if (::fork() != 0) ::_exit(0);
    control.write.reset();
    char go = 0;
    (void)!::read(control.read.get(), &go, 1);
    (void)!::write(out.get(), "late", 4);
    ::_exit(0);
  }
  out.reset();
  err.reset();
  int status = 0;
  ASSERT_EQ(::waitpid(leader, &status, 0), leader);
  Finish(1);
  EXPECT_FALSE(ear_.closed(1));
  ASSERT_TRUE(WriteAll(control.write.get(), "g"));
  const Spool::Closed closed = ear_.WaitForClosed(1);
  EXPECT_EQ(closed.stdout_bytes, 4U);
  EXPECT_FALSE(closed.held_open) << "the grandchild has ended too";
  EXPECT_EQ(ReadAll(1, OutputStream::kStdout), "late");
}

TEST_F(SpoolTest, AJobThatWasNeverAttachedClosesWithZeros) {
  Start();
  Finish(9);
  const Spool::Closed closed = ear_.WaitForClosed(9);
  EXPECT_EQ(closed.stdout_bytes + closed.stderr_bytes + closed.dropped_bytes, 0U);
  EXPECT_FALSE(closed.held_open);
}

TEST_F(SpoolTest, GoesOnBehindWhatAnEarlierSpoolKept) {
  Start();
  const Pipe out = MakePipe();
  Attach(7, out);
  ASSERT_TRUE(WriteAll(out.write.get(), "before"));
  ASSERT_TRUE(ear_.WaitForBytes(7, 6));
  Ear next;
  Reopen(&next);
  Attach(7, out);
  ASSERT_TRUE(next.WaitForBytes(7, 6)) << "it may not have been told of";
  ASSERT_TRUE(WriteAll(out.write.get(), " after"));
  ASSERT_TRUE(next.WaitForBytes(7, 12));
  Finish(7);
  const Spool::Closed closed = next.WaitForClosed(7);
  EXPECT_EQ(closed.stdout_bytes, 12U);
  EXPECT_EQ(ReadAll(7, OutputStream::kStdout), "before after");
}

TEST_F(SpoolTest, WhatAnEarlierSpoolKeptCountsAlsoWhereNoPipeComesBack) {
  Start();
  const Pipe out = MakePipe();
  Attach(7, out);
  ASSERT_TRUE(WriteAll(out.write.get(), "before"));
  ASSERT_TRUE(ear_.WaitForBytes(7, 6));
  Ear next;
  Reopen(&next);
  Finish(7);
  EXPECT_EQ(next.WaitForClosed(7).stdout_bytes, 6U);
  EXPECT_EQ(Ear::Sum(next.marks(7)), 6U);
}

TEST_F(SpoolTest, AnEmptyDescriptorIsAStreamThatHasEnded) {
  Start();
  Pipe out = MakePipe();
  InLoop([&] { spool_->Attach(1, std::move(out.read), UniqueFd()); });
  ASSERT_TRUE(WriteAll(out.write.get(), "x"));
  out.write.reset();
  Finish(1);
  EXPECT_EQ(ear_.WaitForClosed(1).stdout_bytes, 1U);
}

TEST_F(SpoolTest, AThousandJobsWithoutOutputLeaveNoFileAndNoDescriptor) {
  Start();
  const size_t before = OpenDescriptors();
  for (uint64_t batch = 0; batch < 10; ++batch) {
    std::vector<std::pair<UniqueFd, UniqueFd>> ends;
    for (uint64_t i = 0; i < 100; ++i) ends.push_back(Attach(batch * 100 + i));
    // Half of them are old enough to be watched.
    if (batch % 2 == 0) {
      auto [out, err] = Attach(10'000 + batch);
      ASSERT_TRUE(WriteAll(out.get(), "x"));
      ASSERT_TRUE(ear_.WaitForBytes(10'000 + batch, 1));
      out.reset();
      err.reset();
      Finish(10'000 + batch);
      ear_.WaitForClosed(10'000 + batch);
      spool_->Remove(10'000 + batch);
    }
    ends.clear();
    for (uint64_t i = 0; i < 100; ++i) Finish(batch * 100 + i);
    for (uint64_t i = 0; i < 100; ++i) ear_.WaitForClosed(batch * 100 + i);
  }
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(SpoolTest, RemoveDeletesFilesAndFolder) {
  Start();
  auto [out, err] = Attach(123'456);
  ASSERT_TRUE(WriteAll(out.get(), "x"));
  out.reset();
  err.reset();
  Finish(123'456);
  ear_.WaitForClosed(123'456);
  EXPECT_TRUE(fs::exists(root_ + "/123/123456.out"));
  EXPECT_FALSE(fs::exists(root_ + "/123/123456.err"));
  spool_->Remove(123'456);
  EXPECT_TRUE(fs::is_empty(root_));
  EXPECT_EQ(ReadAll(123'456, OutputStream::kStdout), "not found");
}

TEST_F(SpoolTest, ASpoolMayGoWhileJobsAreOpen) {
  Start();
  InLoop([&] { spool_.reset(); });
  const size_t before = OpenDescriptors();
  Reopen(&ear_);
  {
    auto [out, err] = Attach(1);
    ASSERT_TRUE(WriteAll(out.get(), "x"));
    ASSERT_TRUE(ear_.WaitForBytes(1, 1));
    InLoop([&] { spool_.reset(); });
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace brood
