// SPDX-License-Identifier: Apache-2.0
#include "common/job/exit_code.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>

namespace brood {
namespace {

v1::Job Ended(v1::Outcome outcome) {
  v1::Job job;
  job.set_state(v1::JOB_STATE_ENDED);
  job.set_outcome(outcome);
  job.mutable_spec()->mutable_command()->add_argv("x");
  return job;
}

void Expect(const v1::Job& job, int code, const std::string& sentence) {
  EXPECT_EQ(RunExitCode(job), code);
  EXPECT_EQ(OutcomeSentence(job), sentence);
}

TEST(ExitCodeTest, AProcessGivesItsOwnCode) {
  v1::Job job = Ended(v1::OUTCOME_EXITED);
  Expect(job, 125, "ended, its exit status is unknown");
  job.set_exit_code(0);
  Expect(job, 0, "exited 0");
  job.set_exit_code(77);
  Expect(job, 77, "exited 77");
}

TEST(ExitCodeTest, ASignalGives128AndItsNumber) {
  v1::Job job = Ended(v1::OUTCOME_SIGNALED);
  job.set_signal(SIGTERM);
  Expect(job, 143, "terminated by SIGTERM");
  job.set_signal(SIGSEGV);
  job.set_message("core dumped");
  Expect(job, 139, "terminated by SIGSEGV (core dumped)");
}

TEST(ExitCodeTest, ACallGivesZeroOrOne) {
  Expect(Ended(v1::OUTCOME_RETURNED), 0, "returned");
  v1::Job job = Ended(v1::OUTCOME_THREW);
  job.set_message("no such cell");
  Expect(job, 1, "threw: no such cell");
}

TEST(ExitCodeTest, ATimeOutGives124HoweverItThenEnded) {
  v1::Job job = Ended(v1::OUTCOME_TIMED_OUT);
  job.set_signal(SIGKILL);
  Expect(job, 124, "timed out (terminated by SIGKILL)");
}

TEST(ExitCodeTest, ACancelledJobNeverLooksLikeASuccess) {
  v1::Job job = Ended(v1::OUTCOME_CANCELLED);
  Expect(job, 143, "cancelled before it started");
  job.mutable_start_time();
  Expect(job, 143, "cancelled");
  job.set_exit_code(0);
  Expect(job, 143, "cancelled (exited 0)");
  job.set_exit_code(3);
  Expect(job, 3, "cancelled (exited 3)");
  job.clear_exit_code();
  job.set_signal(SIGKILL);
  Expect(job, 137, "cancelled (terminated by SIGKILL)");
}

TEST(ExitCodeTest, OnlyAFailedExecSpeaksOfTheProgram) {
  v1::Job job = Ended(v1::OUTCOME_FAILED_TO_START);
  job.set_failed_step("exec");
  job.set_error_number(ENOENT);
  Expect(job, 127, "exec of 'x' failed: No such file or directory");
  for (const int error_number : {EACCES, ENOEXEC, E2BIG, EISDIR}) {
    job.set_error_number(error_number);
    EXPECT_EQ(RunExitCode(job), 126);
  }
  job.set_failed_step("chdir");
  job.set_error_number(ENOENT);
  job.set_message("chdir to '/nowhere' failed: No such file or directory");
  Expect(job, 125, "could not be started: chdir to '/nowhere' failed: No such file or directory");
}

TEST(ExitCodeTest, WhatBroodCannotTellIs125) {
  v1::Job job = Ended(v1::OUTCOME_LOST);
  job.set_message("its parent was gone");
  Expect(job, 125, "lost: its parent was gone");
  Expect(Ended(v1::OUTCOME_PARENT_ENDED), 125, "its parent ended");
  Expect(v1::Job(), 125, "has not ended");
}

}  // namespace
}  // namespace brood
