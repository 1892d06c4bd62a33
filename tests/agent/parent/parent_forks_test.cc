// SPDX-License-Identifier: Apache-2.0
//
// Calls in forks: copies of the parent at one instant.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "agent/sdk/task.h"
#include "common/base/unique_fd.h"
#include "tests/agent/parent/calls_fixture.h"
#include "tests/testing/parent_driver.h"

namespace brood::testing {
namespace {

using internal::v1::StartJob;
using ParentForksTest = CallsFixture;

TEST_F(ParentForksTest, StartsWithTheParentsCellsAndChangesOnlyItsOwn) {
  EXPECT_EQ(RunForInt("add", {Text("cell"), Int(40)}, kThread), 40);
  EXPECT_EQ(RunForInt("add", {Text("cell"), Int(2)}, kFork), 42);
  EXPECT_EQ(RunForInt("add", {Text("cell"), Int(3)}, kFork), 43);
  EXPECT_EQ(RunForInt("read", {Text("cell")}, kThread), 40);
}

TEST_F(ParentForksTest, TellsOfItsStart) {
  const uint64_t thread = Start("hold", {Int(60'000)}, kThread);
  ASSERT_NE(driver_.Await(thread, NoteKind::kStarted), nullptr);
  const uint64_t job = Start("nothing", {}, kFork);
  const SeenNote* const started = driver_.Await(job, NoteKind::kStarted);
  ASSERT_NE(started, nullptr);
  EXPECT_EQ(started->note.ppid, driver_.pid());
  EXPECT_NE(started->note.pid, driver_.pid());
  EXPECT_EQ(started->note.pgid, started->note.pid);
  EXPECT_GT(started->note.fork_ns, 0);
  EXPECT_EQ(started->note.threads_at_fork, 1u);
  const SeenNote* const ended = driver_.AwaitEnd(job);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.code, CLD_EXITED);
  EXPECT_EQ(ended->note.status, 0);
  StartSlot slot;
  ASSERT_TRUE(driver_.Slots().ReadStart(started->note.slot, &slot));
  EXPECT_EQ(slot.pid, started->note.pid);
  driver_.StopCall(thread);
  ASSERT_NE(driver_.AwaitEnd(thread), nullptr);
}

TEST_F(ParentForksTest, EndsWithOneWhereItThrew) {
  const SeenNote* const ended = driver_.AwaitEnd(Start("throw", {Text("x")}, kFork));
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.status, 1);
}

TEST_F(ParentForksTest, EndsAsTheTaskDoes) {
  const SeenNote* ended = driver_.AwaitEnd(Start("crash", {Text("exit"), Int(9)}, kFork));
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.code, CLD_EXITED);
  EXPECT_EQ(ended->note.status, 9);
  ended = driver_.AwaitEnd(Start("crash", {Text("abort")}, kFork));
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.status, SIGABRT);
  ended = driver_.AwaitEnd(Start("crash", {Text("overflow")}, kFork));
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.status, SIGSEGV);
  // A crash in a fork says nothing about the parent, and does not end it.
  LastWords words;
  EXPECT_FALSE(driver_.Slots().ReadLastWords(&words));
  EXPECT_TRUE(Run("nothing", {}, kThread).returned);
}

TEST_F(ParentForksTest, KeepsOfTheParentsDescriptorsOnlyTheDoorbell) {
  EXPECT_EQ(Run("descriptors", {}, kFork).bytes, "0 1 2 3 ");
}

TEST_F(ParentForksTest, BeginsWithTheDefaultActionOfEverySignal) {
  EXPECT_EQ(Run("signals", {}, kFork).bytes, "");
  // Also of those that a task has changed in the parent.
  EXPECT_TRUE(Run("ignore_children", {}, kThread).returned);
  EXPECT_NE(Run("signals", {}, kThread).bytes, "");
  EXPECT_EQ(Run("signals", {}, kFork).bytes, "");
}

TEST_F(ParentForksTest, BeginsWithTheDefaultActionAlsoOfWhatATaskChangedOnTheMainThread) {
  EXPECT_TRUE(Run("ignore_signal_main", {Int(SIGUSR1)}, kThread).returned);
  EXPECT_EQ(Run("signals", {}, kFork).bytes, "");
}

TEST_F(ParentForksTest, TheParentHasOneThreadUntilTheFirstCommand) {
  const std::string threads = "/proc/" + std::to_string(driver_.pid()) + "/task";
  const auto count = [&threads] {
    const auto entries = std::filesystem::directory_iterator(threads);
    return std::distance(begin(entries), end(entries));
  };
  EXPECT_TRUE(Run("nothing", {}, kFork).returned);
  EXPECT_EQ(count(), 1);
  ASSERT_NE(driver_.AwaitEnd(driver_.Start(ParentDriver::Command({"/bin/true"}))), nullptr);
  EXPECT_GT(count(), 1);  // A sanitizer brings one of its own then.
}

TEST_F(ParentForksTest, GetsItsOwnDirectoryEnvironmentAndInput) {
  StartJob job = driver_.Call("test.directory", {}, kFork);
  job.set_working_directory("/usr");
  EXPECT_EQ(ResultOf(driver_.Start(job)).bytes, "/usr");
  job = driver_.Call("test.environment", {Text("ADDED")}, kFork);
  job.mutable_environment()->add_set("ADDED=value");
  EXPECT_EQ(ResultOf(driver_.Start(job)).bytes, "value");
  job = driver_.Call("test.environment", {Text("BROOD_MODE")}, kFork);
  EXPECT_EQ(ResultOf(driver_.Start(job)).bytes, "fork");
  job = driver_.Call("test.input", {}, kFork);
  job.set_stdin_stream(true);
  const uint64_t key = driver_.Start(job);
  ASSERT_TRUE(driver_.Wait([&] { return static_cast<bool>(driver_.outputs()[key].input); }));
  ASSERT_EQ(::write(driver_.outputs()[key].input.get(), "typed", 5), 5);
  driver_.outputs()[key].input.reset();
  EXPECT_EQ(ResultOf(key).bytes, "typed");
}

TEST_F(ParentForksTest, SaysBeforeItForksThatTheFolderIsNotThere) {
  StartJob job = driver_.Call("test.nothing", {}, kFork);
  job.set_working_directory("/no/such/folder");
  const uint64_t key = driver_.Start(job);
  const SeenNote* const ended = driver_.AwaitEnd(key);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kFailedToStart);
  EXPECT_EQ(ended->note.error_number, ENOENT);
  EXPECT_EQ(ended->text.substr(0, 6), std::string("chdir\0", 6));
  EXPECT_EQ(driver_.Count(key, NoteKind::kStarted), 0u);
}

TEST_F(ParentForksTest, DoesNotWriteOutWhatTheParentHadBuffered) {
  EXPECT_TRUE(Run("buffer", {Text("PARENTS")}, kThread).returned);
  const uint64_t job = Start("buffer", {Text("CHILDS")}, kFork);
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  ASSERT_TRUE(driver_.AwaitOutput(job));
  EXPECT_EQ(driver_.outputs()[job].bytes[0], "CHILDS");
  driver_.End(1);
  ASSERT_EQ(driver_.AwaitParentEnd(), 0);
  EXPECT_EQ(driver_.Log(), "PARENTS");
}

TEST_F(ParentForksTest, IsSignalledLikeAnyProcess) {
  const uint64_t job = Start("hold", {Int(3'600'000)}, kFork);
  ASSERT_TRUE(driver_.Wait([&] { return !driver_.rings().empty(); }));
  driver_.SignalJob(job, SIGTERM, true);
  const SeenNote* const ended = driver_.AwaitEnd(job);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.code, CLD_KILLED);
  EXPECT_EQ(ended->note.status, SIGTERM);
}

TEST_F(ParentForksTest, TellsTheStatusEvenWhereATaskMadeTheKernelReap) {
  EXPECT_TRUE(Run("ignore_children", {}, kThread).returned);
  const SeenNote* const ended = driver_.AwaitEnd(Start("crash", {Text("exit"), Int(7)}, kFork));
  ASSERT_NE(ended, nullptr);
  // Linux 6.15 and later still know it; before, it is unknown and never 0.
  if (ended->note.code != 0) {
    EXPECT_EQ(ended->note.code, CLD_EXITED);
    EXPECT_EQ(ended->note.status, 7);
  }
  EXPECT_EQ(ended->note.flags & kHasUsage, 0u);
}

TEST_F(ParentForksTest, NamesTheJobThatKeepsTheGateShut) {
  EXPECT_EQ(RunForInt("add", {Text("locked"), Int(1)}, kThread), 1);
  const std::string fifo = driver_.directory() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  StartJob holder = driver_.Call("test.lock_cell", {Text("locked"), Text(fifo)}, kThread);
  holder.set_job_id("the-holder");
  const uint64_t holding = driver_.Start(holder);
  // Opens once the task reads: it is inside the gate from then on.
  UniqueFd release(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(release);
  const SeenNote* const ended = driver_.AwaitEnd(Start("nothing", {}, kFork));
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kFailedToStart);
  EXPECT_EQ(ended->text.substr(0, 5), std::string("gate\0", 5));
  EXPECT_NE(ended->text.find("'the-holder'"), std::string::npos);
  // So is a reader of that cell told, after a bounded time.
  const auto answer = driver_.ReadMemory({"locked"});
  ASSERT_TRUE(answer.has_value());
  EXPECT_NE(answer->error().find("the job 'the-holder'"), std::string::npos) << answer->error();
  release.reset();
  ASSERT_NE(driver_.AwaitEnd(holding), nullptr);
  EXPECT_TRUE(Run("nothing", {}, kFork).returned);
}

TEST_F(ParentForksTest, WaitsInTheLineForASlot) {
  std::vector<uint64_t> jobs;
  for (int i = 0; i < 10; ++i) jobs.push_back(Start("nothing", {}, kFork));
  for (int i = 0; i < 8; ++i) ASSERT_NE(driver_.AwaitEnd(jobs[static_cast<size_t>(i)]), nullptr);
  EXPECT_EQ(driver_.Count(jobs[8], NoteKind::kStarted), 0u);
  driver_.Drain(jobs[0]);
  driver_.Drain(jobs[1]);
  ASSERT_NE(driver_.AwaitEnd(jobs[8]), nullptr);
  ASSERT_NE(driver_.AwaitEnd(jobs[9]), nullptr);
}

TEST_F(ParentForksTest, ForksWhileThreadsChangeCells) {
  std::vector<uint64_t> threads;
  std::vector<uint64_t> forks;
  internal::v1::ToParent frame;
  for (uint64_t i = 0; i < 300; ++i) {
    internal::v1::StartJob* const job = frame.mutable_start()->add_jobs();
    const bool thread = i % 50 != 0;
    *job = driver_.Call("test.add", {Text("busy"), Int(1)}, thread);
    job->set_job_key(1'000 + i);
    (thread ? threads : forks).push_back(1'000 + i);
  }
  driver_.Send(frame);
  for (const uint64_t job : threads) ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  for (const uint64_t job : forks) EXPECT_TRUE(ResultOf(job).returned);
  EXPECT_EQ(RunForInt("read", {Text("busy")}, kThread), 294);
}

}  // namespace
}  // namespace brood::testing
