// SPDX-License-Identifier: Apache-2.0
//
// Commands: how they start, what they see, how they end.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/testing/parent_driver.h"

namespace brood::testing {
namespace {

using internal::v1::StartJob;

std::string StepOf(const SeenNote& seen) { return seen.text.substr(0, seen.text.find('\0')); }

class ParentCommandsTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(driver_.Connect()) << driver_.Log(); }

  // Runs it to its end; what it wrote to stdout.
  std::string OutputOf(StartJob job) {
    const uint64_t key = driver_.Start(std::move(job));
    EXPECT_NE(driver_.AwaitEnd(key), nullptr);
    EXPECT_TRUE(driver_.AwaitOutput(key));
    return driver_.outputs()[key].bytes[0];
  }

  ParentDriver driver_{ParentDriverOptions{4, {}, {"BROOD_TEST_INHERITED=yes"}, ""}};
};

TEST_F(ParentCommandsTest, TellsOfStartAndExit) {
  const uint64_t job =
      driver_.Start(driver_.Command({"sh", "-c", "echo out; echo err >&2; exit 3"}));
  const SeenNote* const started = driver_.Await(job, NoteKind::kStarted);
  ASSERT_NE(started, nullptr);
  EXPECT_GT(started->note.pid, 0);
  EXPECT_EQ(started->note.ppid, driver_.pid());
  EXPECT_EQ(started->note.pgid, started->note.pid);
  EXPECT_GT(started->note.start_ns, 0);
  EXPECT_GT(started->note.fork_ns, 0);
  const SeenNote* const ended = driver_.AwaitEnd(job);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kExited);
  EXPECT_EQ(ended->note.code, CLD_EXITED);
  EXPECT_EQ(ended->note.status, 3);
  EXPECT_EQ(ended->note.slot, started->note.slot);
  EXPECT_NE(ended->note.flags & kHasUsage, 0u);
  EXPECT_GT(ended->note.max_rss_bytes, 0u);
  EXPECT_EQ(ended->note.flags & kGroupAlive, 0u);
  ASSERT_TRUE(driver_.AwaitOutput(job));
  EXPECT_EQ(driver_.outputs()[job].bytes[0], "out\n");
  EXPECT_EQ(driver_.outputs()[job].bytes[1], "err\n");
}

TEST_F(ParentCommandsTest, WritesPidAndTimeToItsSlotAsItsFirstAct) {
  const uint64_t job = driver_.Start(driver_.Command({"true"}));
  const SeenNote* const started = driver_.Await(job, NoteKind::kStarted);
  ASSERT_NE(started, nullptr);
  StartSlot slot;
  ASSERT_TRUE(driver_.Slots().ReadStart(started->note.slot, &slot));
  EXPECT_EQ(slot.job_key, job);
  EXPECT_EQ(slot.attempt, 1u);
  EXPECT_EQ(slot.pid, started->note.pid);
  EXPECT_EQ(slot.start_ns, started->note.start_ns);
  EXPECT_EQ(slot.failed_step, 0u);
}

TEST_F(ParentCommandsTest, TellsOfDeathBySignal) {
  const uint64_t job = driver_.Start(driver_.Command({"sh", "-c", "kill -USR1 $$"}));
  const SeenNote* const ended = driver_.AwaitEnd(job);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.code, CLD_KILLED);
  EXPECT_EQ(ended->note.status, SIGUSR1);
}

TEST_F(ParentCommandsTest, ReportsTheErrnoOfAFailedExec) {
  const uint64_t job = driver_.Start(driver_.Command({"no-such-program-anywhere"}));
  const SeenNote* const ended = driver_.AwaitEnd(job);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kFailedToStart);
  EXPECT_EQ(ended->note.error_number, ENOENT);
  EXPECT_EQ(StepOf(*ended), "exec");
  EXPECT_NE(ended->text.find("'no-such-program-anywhere'"), std::string::npos);
  EXPECT_NE(ended->text.find("PATH="), std::string::npos);
  EXPECT_EQ(driver_.Count(job, NoteKind::kStarted), 0u);
  // Nothing is left to wait for: the streams end too.
  EXPECT_TRUE(driver_.AwaitOutput(job));
}

TEST_F(ParentCommandsTest, SaysPermissionDeniedWhereAFileMayNotBeExecuted) {
  const uint64_t job = driver_.Start(driver_.Command({"/etc/passwd"}));
  const SeenNote* const ended = driver_.AwaitEnd(job);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kFailedToStart);
  EXPECT_EQ(ended->note.error_number, EACCES);
}

TEST_F(ParentCommandsTest, ReportsTheFolderThatCannotBeEntered) {
  StartJob job = driver_.Command({"true"});
  job.set_working_directory("/no/such/folder");
  const SeenNote* const ended = driver_.AwaitEnd(driver_.Start(job));
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kFailedToStart);
  EXPECT_EQ(ended->note.error_number, ENOENT);
  EXPECT_EQ(StepOf(*ended), "chdir");
  EXPECT_NE(ended->text.find("'/no/such/folder'"), std::string::npos);
}

TEST_F(ParentCommandsTest, ReportsALimitThatCannotBeSet) {
  StartJob job = driver_.Command({"true"});
  job.add_limits()->set_resource(9999);
  const SeenNote* const ended = driver_.AwaitEnd(driver_.Start(job));
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.error_number, EINVAL);
  EXPECT_EQ(StepOf(*ended), "setrlimit");
}

TEST_F(ParentCommandsTest, GivesTheJobItsDirectoryUmaskAndLimits) {
  StartJob job = driver_.Command({"sh", "-c", "pwd; umask; ulimit -c; ulimit -n"});
  job.set_working_directory("/usr");
  job.set_umask(027);
  internal::v1::Limit* const core = job.add_limits();
  core->set_resource(RLIMIT_CORE);
  core->set_value(0);
  internal::v1::Limit* const files = job.add_limits();
  files->set_resource(RLIMIT_NOFILE);
  files->set_value(77);
  EXPECT_EQ(OutputOf(job), "/usr\n0027\n0\n77\n");
}

TEST_F(ParentCommandsTest, GivesTheJobTheDescriptorLimitTheParentWasStartedWith) {
  rlimit own{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &own), 0);
  const std::string soft =
      own.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(own.rlim_cur);
  EXPECT_EQ(OutputOf(driver_.Command({"sh", "-c", "ulimit -Sn"})), soft + "\n");
}

TEST_F(ParentCommandsTest, ChangesTheEnvironmentAsAsked) {
  StartJob job = driver_.Command({"env"});
  job.mutable_environment()->add_set("ADDED=a=b");
  job.mutable_environment()->add_set("HOME=/elsewhere");
  job.mutable_environment()->add_unset("BROOD_TEST_INHERITED");
  job.set_host("here");
  job.set_job_id("my-job");
  job.set_run_id("my-run");
  const std::string seen = "\n" + OutputOf(job);
  for (const char* const expected :
       {"\nADDED=a=b\n", "\nHOME=/elsewhere\n", "\nBROOD_HOST=here\n", "\nBROOD_JOB_ID=my-job\n",
        "\nBROOD_RUN_ID=my-run\n", "\nBROOD_MODE=fork\n"}) {
    EXPECT_NE(seen.find(expected), std::string::npos) << expected;
  }
  EXPECT_EQ(seen.find("BROOD_TEST_INHERITED"), std::string::npos);
}

TEST_F(ParentCommandsTest, StartsFromNothingWhenTheEnvironmentIsCleared) {
  StartJob job = driver_.Command({"/usr/bin/env"});
  job.mutable_environment()->set_clear(true);
  job.mutable_environment()->add_set("ONLY=this");
  job.set_job_id("j");
  EXPECT_EQ(
      OutputOf(job),
      "ONLY=this\nBROOD_HOST=\nBROOD_JOB_ID=j\nBROOD_RUN_ID=\nBROOD_JOURNAL=\nBROOD_MODE=fork\n");
}

TEST_F(ParentCommandsTest, SearchesTheJobsOwnPath) {
  const std::filesystem::path folder = std::filesystem::path(driver_.directory()) / "bin";
  std::filesystem::create_directory(folder);
  // No "#!": handed to the shell, as execvp does.
  std::ofstream(folder / "only-here") << "echo found with $1\n";
  std::filesystem::permissions(folder / "only-here", std::filesystem::perms::owner_all);
  StartJob job = driver_.Command({"only-here", "argument"});
  job.mutable_environment()->add_set("PATH=/nowhere:" + folder.string() + ":/bin");
  EXPECT_EQ(OutputOf(job), "found with argument\n");
}

TEST_F(ParentCommandsTest, TakesARelativeProgramFromTheJobsDirectory) {
  StartJob job = driver_.Command({"bin/echo", "here"});
  job.set_working_directory("/usr");
  EXPECT_EQ(OutputOf(job), "here\n");
}

TEST_F(ParentCommandsTest, GivesTheJobThreeDescriptorsAndNoMore) {
  // ls itself has a fourth one, the folder that it lists.
  EXPECT_EQ(OutputOf(driver_.Command({"sh", "-c", "echo $(ls /proc/self/fd)"})), "0 1 2 3\n");
}

TEST_F(ParentCommandsTest, GivesTheJobDefaultSignalsInASessionOfItsOwn) {
  // Fields 5 and 6 of stat are the group and the session.
  EXPECT_EQ(OutputOf(driver_.Command(
                {"sh", "-c",
                 "grep -E '^Sig(Blk|Ign)' /proc/self/status; set -- $(cat /proc/$$/stat); "
                 "[ $5 = $$ ] && [ $6 = $$ ] && echo own session"})),
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nown session\n");
}

TEST_F(ParentCommandsTest, StreamsInputOnlyWhereAsked) {
  EXPECT_EQ(OutputOf(driver_.Command({"cat"})), "");
  StartJob job = driver_.Command({"cat"});
  job.set_stdin_stream(true);
  const uint64_t key = driver_.Start(job);
  ASSERT_TRUE(driver_.Wait([&] { return static_cast<bool>(driver_.outputs()[key].input); }));
  ASSERT_EQ(::write(driver_.outputs()[key].input.get(), "hello", 5), 5);
  // Nobody else holds that end: closing it is the end of the input.
  driver_.outputs()[key].input.reset();
  ASSERT_NE(driver_.AwaitEnd(key), nullptr);
  ASSERT_TRUE(driver_.AwaitOutput(key));
  EXPECT_EQ(driver_.outputs()[key].bytes[0], "hello");
}

TEST_F(ParentCommandsTest, StartsAJobKeyOnce) {
  StartJob job = driver_.Command({"true"});
  job.set_job_key(100);
  driver_.Start(job);
  ASSERT_NE(driver_.AwaitEnd(100), nullptr);
  driver_.Start(job);
  const uint64_t after = driver_.Start(driver_.Command({"true"}));
  ASSERT_NE(driver_.AwaitEnd(after), nullptr);
  EXPECT_EQ(driver_.Count(100, NoteKind::kStarted), 1u);
  EXPECT_EQ(driver_.Count(100, NoteKind::kExited), 1u);
}

TEST(ParentCommandsBatchTest, StartsManyFromOneFrameAndKeepsTheOrderOfNotes) {
  ParentDriver driver(ParentDriverOptions{256, {}, {}, ""});
  ASSERT_TRUE(driver.Connect());
  constexpr uint64_t kJobs = 150;
  internal::v1::ToParent frame;
  for (uint64_t key = 1; key <= kJobs; ++key) {
    StartJob job = driver.Command({"sh", "-c", "exit " + std::to_string(key % 100)});
    job.set_job_key(key);
    *frame.mutable_start()->add_jobs() = job;
  }
  driver.SendCommands(frame);
  for (uint64_t key = 1; key <= kJobs; ++key) {
    const SeenNote* const ended = driver.AwaitEnd(key);
    ASSERT_NE(ended, nullptr) << key;
    EXPECT_EQ(ended->note.status, static_cast<int32_t>(key % 100));
    EXPECT_EQ(driver.Count(key, NoteKind::kStarted), 1u);
    EXPECT_LT(driver.Await(key, NoteKind::kStarted)->note.boot_ns, ended->note.boot_ns);
    EXPECT_TRUE(driver.AwaitOutput(key));
  }
}

TEST_F(ParentCommandsTest, KeepsAJobWaitingUntilASlotIsFree) {
  std::vector<uint64_t> first;
  for (int i = 0; i < 4; ++i) first.push_back(driver_.Start(driver_.Command({"true"})));
  const uint64_t waiting = driver_.Start(driver_.Command({"true"}));
  for (const uint64_t job : first) ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  EXPECT_EQ(driver_.Count(waiting, NoteKind::kStarted), 0u);
  driver_.Drain(first[2]);
  EXPECT_NE(driver_.AwaitEnd(waiting), nullptr);
}

TEST_F(ParentCommandsTest, SignalsTheLeaderOrTheWholeGroup) {
  const uint64_t leader = driver_.Start(driver_.Command({"sleep", "100"}));
  ASSERT_NE(driver_.Await(leader, NoteKind::kStarted), nullptr);
  driver_.SignalJob(leader, SIGTERM, false);
  const SeenNote* ended = driver_.AwaitEnd(leader);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.status, SIGTERM);

  const uint64_t group = driver_.Start(driver_.Command({"sh", "-c", "sleep 100 & echo up; wait"}));
  ASSERT_TRUE(driver_.Wait([&] { return driver_.outputs()[group].bytes[0] == "up\n"; }));
  ASSERT_NE(driver_.Await(group, NoteKind::kStarted), nullptr);
  driver_.SignalJob(group, SIGKILL, true);
  ended = driver_.AwaitEnd(group);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.status, SIGKILL);
  // The sleep held the output too: its end shows that all were reached.
  EXPECT_TRUE(driver_.AwaitOutput(group));
  ASSERT_TRUE(driver_.Wait([&] { return driver_.signalled().size() == 2; }));
  EXPECT_EQ(driver_.signalled()[0].error_number(), 0);
  EXPECT_TRUE(driver_.signalled()[1].whole_group());
}

TEST_F(ParentCommandsTest, AnswersThatAJobThatEndedIsGone) {
  const uint64_t job = driver_.Start(driver_.Command({"true"}));
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  driver_.SignalJob(job, SIGKILL, true);
  driver_.SignalJob(12345, SIGKILL, false);
  ASSERT_TRUE(driver_.Wait([&] { return driver_.signalled().size() == 2; }));
  EXPECT_EQ(driver_.signalled()[0].error_number(), ESRCH);
  EXPECT_EQ(driver_.signalled()[1].error_number(), ESRCH);
}

TEST_F(ParentCommandsTest, NotesStopsAndContinuations) {
  const uint64_t job = driver_.Start(driver_.Command({"sleep", "100"}));
  ASSERT_NE(driver_.Await(job, NoteKind::kStarted), nullptr);
  driver_.SignalJob(job, SIGSTOP, false);
  const SeenNote* const stopped = driver_.Await(job, NoteKind::kStopped);
  ASSERT_NE(stopped, nullptr);
  EXPECT_EQ(stopped->note.status, SIGSTOP);
  driver_.SignalJob(job, SIGCONT, false);
  ASSERT_NE(driver_.Await(job, NoteKind::kContinued), nullptr);
  driver_.SignalJob(job, SIGKILL, false);
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  EXPECT_EQ(driver_.Count(job, NoteKind::kStopped), 1u);
}

TEST_F(ParentCommandsTest, SaysWhetherTheGroupOutlivesItsLeader) {
  // The first one leaves a member of its group behind, the second one a process in another group.
  const uint64_t survived =
      driver_.Start(driver_.Command({"sh", "-c", "sleep 100 >/dev/null 2>&1 & exit 0"}));
  const uint64_t left = driver_.Start(
      driver_.Command({"sh", "-c",
                       "setsid sleep 100 >/dev/null 2>&1 & echo $!; "
                       "until set -- $(cat /proc/$!/stat); [ $5 = $! ]; do :; done"}));
  const SeenNote* const first = driver_.AwaitEnd(survived);
  ASSERT_NE(first, nullptr);
  EXPECT_NE(first->note.flags & kGroupAlive, 0u);
  EXPECT_EQ(::kill(-first->note.pid, SIGKILL), 0);
  const SeenNote* const second = driver_.AwaitEnd(left);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->note.flags & kGroupAlive, 0u);
  ASSERT_TRUE(driver_.AwaitOutput(left));
  EXPECT_EQ(::kill(std::stoi(driver_.outputs()[left].bytes[0]), SIGKILL), 0);
}

TEST_F(ParentCommandsTest, GivesNoSigpipeWhereAllReadersAreGone) {
  driver_.set_reads_output(false);
  StartJob job = driver_.Command({"sh", "-c", "read line; echo more; exit 4"});
  job.set_stdin_stream(true);
  const uint64_t key = driver_.Start(job);
  ASSERT_TRUE(driver_.Wait([&] { return static_cast<bool>(driver_.outputs()[key].input); }));
  ParentDriver::Output& output = driver_.outputs()[key];
  output.fds[0].reset();
  output.fds[1].reset();
  driver_.Drain(key);
  // An answer to a frame sent after it: the parent has closed its ends.
  ASSERT_TRUE(driver_.ReadMemory({}).has_value());
  ASSERT_EQ(::write(output.input.get(), "go\n", 3), 3);
  const SeenNote* const ended = driver_.AwaitEnd(key);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.code, CLD_EXITED);
  EXPECT_EQ(ended->note.status, 4);
}

}  // namespace
}  // namespace brood::testing
