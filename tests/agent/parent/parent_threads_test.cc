// SPDX-License-Identifier: Apache-2.0
//
// Calls on threads: one process, shared memory, stop tokens.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "agent/sdk/task.h"
#include "common/base/unique_fd.h"
#include "tests/agent/parent/calls_fixture.h"
#include "tests/testing/parent_driver.h"
#include "tests/testing/temp_directory.h"

namespace brood::testing {
namespace {

using ParentThreadsTest = CallsFixture;

TEST_F(ParentThreadsTest, RunsEachOnAThreadOfItsOwnInTheParentsProcess) {
  std::set<int32_t> threads;
  std::vector<uint64_t> jobs;
  for (int i = 0; i < 3; ++i) jobs.push_back(Start("hold", {Int(60'000)}, kThread));
  for (const uint64_t job : jobs) {
    const SeenNote* const started = driver_.Await(job, NoteKind::kStarted);
    ASSERT_NE(started, nullptr);
    EXPECT_EQ(started->note.pid, driver_.pid());
    EXPECT_NE(started->note.tid, driver_.pid());
    EXPECT_GT(started->note.fork_ns, 0);
    EXPECT_EQ(started->note.slot, kNoSlot);
    threads.insert(started->note.tid);
  }
  EXPECT_EQ(threads.size(), 3u);
  for (const uint64_t job : jobs) driver_.StopCall(job);
  for (const uint64_t job : jobs) ASSERT_NE(driver_.AwaitEnd(job), nullptr);
}

TEST_F(ParentThreadsTest, WakesASleepingCallThatIsAskedToStop) {
  const uint64_t job = Start("hold", {Int(3'600'000)}, kThread);
  const SeenNote* const progress = driver_.Await(job, NoteKind::kProgress);
  ASSERT_NE(progress, nullptr);
  EXPECT_EQ(progress->text, "holding");
  driver_.StopCall(job);
  const SeenNote* const ended = driver_.AwaitEnd(job);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kStopHonoured);
}

TEST_F(ParentThreadsTest, SeesWhatOthersWroteAndCountsEveryChange) {
  std::vector<uint64_t> jobs;
  for (int i = 0; i < 200; ++i) jobs.push_back(Start("add", {Text("sum"), Int(2)}, kThread));
  for (const uint64_t job : jobs) ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  EXPECT_EQ(RunForInt("read", {Text("sum")}, kThread), 400);
  const auto answer = driver_.ReadMemory({"sum"});
  ASSERT_TRUE(answer.has_value());
  ASSERT_EQ(answer->cells_size(), 1);
  EXPECT_EQ(answer->cells(0).value().int_value(), 400);
  EXPECT_EQ(answer->cells(0).version(), 200u);
  // The second way: read from outside, at the address that was said.
  int64_t outside = 0;
  iovec here{&outside, sizeof(outside)};
  iovec there{reinterpret_cast<void*>(answer->cells(0).address()), sizeof(outside)};
  EXPECT_EQ(::process_vm_readv(driver_.pid(), &here, 1, &there, 1, 0),
            static_cast<ssize_t>(sizeof(outside)));
  EXPECT_EQ(outside, 400);
}

TEST_F(ParentThreadsTest, MakesPipesOnlyForACallThatWrites) {
  const uint64_t quiet = Start("nothing", {}, kThread);
  const SeenNote* const end = driver_.AwaitEnd(quiet);
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(end->note.flags & kHasStreams, 0u);
  const uint64_t loud = Start("print", {Text("x")}, kThread);
  const SeenNote* const said = driver_.AwaitEnd(loud);
  ASSERT_NE(said, nullptr);
  EXPECT_EQ(said->note.kind, NoteKind::kThrew) << "the optional stream was left out";
  const uint64_t out = Start("print", {Text("x"), Int(1)}, kThread);
  const SeenNote* const written = driver_.AwaitEnd(out);
  ASSERT_NE(written, nullptr);
  EXPECT_NE(written->note.flags & kHasStreams, 0u);
  ASSERT_TRUE(driver_.AwaitOutput(out));
  EXPECT_EQ(driver_.outputs().count(quiet), 0u);
}

TEST_F(ParentThreadsTest, SaysAtTheEndOfACallWhetherItWroteWhatIsWatched) {
  const auto has_written = [this](const std::string& cell) {
    const SeenNote* const end = driver_.AwaitEnd(Start("add", {Text(cell), Int(1)}, kThread));
    return end != nullptr && (end->note.flags & kHasWrites) != 0;
  };
  EXPECT_FALSE(has_written("watched")) << "not yet";
  internal::v1::ToParent watch;
  watch.mutable_watch_cells()->set_generation(1);
  watch.mutable_watch_cells()->add_cells("watched");
  driver_.Send(watch);
  EXPECT_TRUE(has_written("watched"));
  EXPECT_FALSE(has_written("other"));
}

TEST_F(ParentThreadsTest, TakesPthreadExitForTheEndOfTheCall) {
  EXPECT_EQ(RunForInt("thread_exit", {}, kThread), 5);
  EXPECT_TRUE(Run("nothing", {}, kThread).returned);
}

TEST_F(ParentThreadsTest, IsNotAProcessThatCouldBeSignalled) {
  const uint64_t job = Start("hold", {Int(60'000)}, kThread);
  ASSERT_NE(driver_.Await(job, NoteKind::kStarted), nullptr);
  driver_.SignalJob(job, SIGKILL, false);
  ASSERT_TRUE(driver_.Wait([&] { return driver_.signalled().size() == 1; }));
  EXPECT_EQ(driver_.signalled()[0].error_number(), ESRCH);
  driver_.StopCall(job);
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
}

TEST_F(ParentThreadsTest, RunsAThousandWithoutKeepingAnyThreadOrDescriptor) {
  const auto entries = [this](const char* folder) {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(driver_.pid()) + folder)) {
      ++count;
    }
    return count;
  };
  // A first one: a sanitizer makes a thread of its own with it.
  EXPECT_TRUE(Run("nothing", {}, kThread).returned);
  size_t threads = 0;
  ASSERT_TRUE(driver_.Wait([&] {
    const size_t now = entries("/task");
    return now == std::exchange(threads, now);
  }));
  internal::v1::ToParent frame;
  for (uint64_t key = 1'000; key < 2'000; ++key) {
    internal::v1::StartJob* const job = frame.mutable_start()->add_jobs();
    *job = driver_.Call("test.add", {Text("n"), Int(1)}, kThread);
    job->set_job_key(key);
  }
  driver_.Send(frame);
  for (uint64_t key = 1'000; key < 2'000; ++key) {
    ASSERT_NE(driver_.AwaitEnd(key), nullptr) << key;
    EXPECT_EQ(driver_.Count(key, NoteKind::kStarted), 1u);
  }
  EXPECT_EQ(RunForInt("read", {Text("n")}, kThread), 1000);
  // Threads leave after their note: awaited.
  EXPECT_TRUE(driver_.Wait([&] { return entries("/task") == threads; }));
  const size_t before = entries("/fd");
  EXPECT_TRUE(Run("nothing", {}, kThread).returned);
  EXPECT_EQ(entries("/fd"), before);
}

// It reads from a FIFO that we have open: until we close it, it is not over.
TEST_F(ParentThreadsTest, DoesNothingElseWhileATaskHasTheMainThread) {
  const TempDirectory directory;
  const std::string path = directory.path() + "/gate";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const uint64_t busy = driver_.Start(driver_.Call("demo.words.main", {Text(path)}, kThread));
  const SeenNote* const started = driver_.Await(busy, NoteKind::kStarted);
  ASSERT_NE(started, nullptr);
  EXPECT_EQ(started->note.tid, driver_.pid());
  UniqueFd gate(::open(path.c_str(), O_WRONLY | O_CLOEXEC));  // once it has opened its end
  const uint64_t late = Start("nothing", {}, kThread);
  const uint64_t fork = Start("nothing", {}, kFork);
  gate.reset();
  for (const uint64_t job : {busy, late, fork}) ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  // In the order of the outbox.
  const auto position = [this](uint64_t job, NoteKind kind) {
    const auto& notes = driver_.notes();
    return std::find_if(notes.begin(), notes.end(),
                        [&](const SeenNote& seen) {
                          return seen.note.job_key == job && seen.note.kind == kind;
                        }) -
           notes.begin();
  };
  const auto over = position(busy, NoteKind::kReturned);
  EXPECT_LT(over, position(late, NoteKind::kStarted));
  EXPECT_LT(over, position(fork, NoteKind::kStarted));
}

TEST_F(ParentThreadsTest, ATaskForTheMainThreadHasTheForksOwn) {
  const uint64_t job = driver_.Start(driver_.Call("demo.spin.main", {Int(3'600)}, kFork));
  const SeenNote* const started = driver_.Await(job, NoteKind::kStarted);
  ASSERT_NE(started, nullptr);
  EXPECT_NE(started->note.pid, driver_.pid());
  EXPECT_TRUE(Run("nothing", {}, kThread).returned);
  driver_.SignalJob(job, SIGKILL, false);
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
}

TEST_F(ParentThreadsTest, AnswersWhichCellIsMissing) {
  EXPECT_EQ(RunForInt("add", {Text("there"), Int(1)}, kThread), 1);
  auto answer = driver_.ReadMemory({"there", "not-there"});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->missing_cell(), "not-there");
  EXPECT_EQ(answer->cells_size(), 0);
  // All of them, up to a limit.
  EXPECT_EQ(RunForInt("add", {Text("more"), Int(1)}, kThread), 1);
  answer = driver_.ReadMemory({});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->cells_size(), 2);
  EXPECT_FALSE(answer->truncated());
  answer = driver_.ReadMemory({}, 1);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->cells_size(), 1);
  EXPECT_TRUE(answer->truncated());
}

}  // namespace
}  // namespace brood::testing
