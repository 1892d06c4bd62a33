// SPDX-License-Identifier: Apache-2.0
#include "common/job/job_fold.h"

#include <gtest/gtest.h>

#include <csignal>

#include "tests/common/job/event_stream.h"

namespace brood {
namespace {

using testing::EventStream;

// A job that runs, and the stream to go on with.
class JobFoldTest : public ::testing::Test {
 protected:
  void Run(v1::Mode mode) {
    stream_.mode = mode;
    FoldEvent(stream_.Received("a"), &job_);
    FoldEvent(stream_.Starting("a"), &job_);
    FoldEvent(stream_.Started("a"), &job_);
  }
  v1::Exited* Exit() { return (event_ = stream_.Next("a")).mutable_exited(); }
  v1::ThreadEnded* EndThread() { return (event_ = stream_.Next("a")).mutable_thread_ended(); }
  const v1::Job& Fold() {
    FoldEvent(event_, &job_);
    return job_;
  }

  EventStream stream_;
  v1::Event event_;
  v1::Job job_;
};

TEST_F(JobFoldTest, FollowsAJobFromItsReceiptToItsCleaning) {
  FoldEvent(stream_.Received("a"), &job_);
  EXPECT_EQ(job_.job_id(), "a");
  EXPECT_EQ(job_.host(), "local");
  EXPECT_EQ(job_.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job_.receive_time().seconds(), 1'000'001);

  v1::Event queued = stream_.Next("a");
  queued.mutable_queued()->set_position(4);
  FoldEvent(queued, &job_);
  EXPECT_EQ(job_.queue_position(), 4U);

  FoldEvent(stream_.Starting("a"), &job_);
  EXPECT_EQ(job_.state(), v1::JOB_STATE_STARTING);
  EXPECT_EQ(job_.mode(), v1::MODE_FORK);
  EXPECT_EQ(job_.attempt(), 1U);
  EXPECT_EQ(job_.queue_position(), 0U);
  EXPECT_FALSE(job_.has_pid());

  FoldEvent(stream_.Started("a"), &job_);
  EXPECT_EQ(job_.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(job_.pid(), 42);
  EXPECT_EQ(job_.tid(), 42);
  EXPECT_EQ(job_.ppid(), 7);
  EXPECT_EQ(job_.parent(), "default");
  EXPECT_EQ(job_.parent_incarnation(), 3U);
  EXPECT_TRUE(job_.has_start_time());

  FoldEvent(stream_.Output("a", v1::STREAM_STDOUT, 0, 3), &job_);
  FoldEvent(stream_.Output("a", v1::STREAM_STDERR, 0, 2), &job_);
  EXPECT_EQ(job_.stdout_bytes(), 3U);
  EXPECT_EQ(job_.stderr_bytes(), 2U);
  v1::Event progress = stream_.Next("a");
  progress.mutable_progress()->set_fraction(0.5);
  FoldEvent(progress, &job_);
  EXPECT_EQ(job_.progress(), 0.5);

  FoldEvent(stream_.Exited("a", 0), &job_);
  EXPECT_EQ(job_.state(), v1::JOB_STATE_ENDED);
  EXPECT_EQ(job_.outcome(), v1::OUTCOME_EXITED);
  EXPECT_TRUE(job_.has_exit_code());
  EXPECT_EQ(job_.exit_code(), 0);
  EXPECT_TRUE(job_.has_end_time());

  FoldEvent(stream_.Closed("a", 9, 8), &job_);
  EXPECT_EQ(job_.stdout_bytes(), 9U);
  EXPECT_FALSE(job_.cleaned());
  FoldEvent(stream_.Cleaned("a"), &job_);
  EXPECT_TRUE(job_.cleaned());
}

TEST_F(JobFoldTest, IgnoresOtherJobsAndParents) {
  Run(v1::MODE_FORK);
  const std::string before = job_.SerializeAsString();
  FoldEvent(stream_.Exited("b", 1), &job_);
  v1::Event ended = stream_.OfParent("default", 3);
  ended.mutable_parent_ended();
  FoldEvent(ended, &job_);
  EXPECT_EQ(job_.SerializeAsString(), before);
}

TEST_F(JobFoldTest, StopsAndGoesOn) {
  Run(v1::MODE_FORK);
  v1::Event event = stream_.Next("a");
  event.mutable_stopped()->set_signal(SIGSTOP);
  FoldEvent(event, &job_);
  EXPECT_EQ(job_.state(), v1::JOB_STATE_STOPPED);
  event = stream_.Next("a");
  event.mutable_continued();
  FoldEvent(event, &job_);
  EXPECT_EQ(job_.state(), v1::JOB_STATE_RUNNING);
}

TEST_F(JobFoldTest, AnUnknownStatusHasNoExitCode) {
  Run(v1::MODE_FORK);
  Exit();
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_EXITED);
  EXPECT_FALSE(job_.has_exit_code());
  EXPECT_FALSE(job_.has_signal());
}

TEST_F(JobFoldTest, ASignalIsItsOwnOutcome) {
  Run(v1::MODE_FORK);
  Exit()->set_signal(SIGSEGV);
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_SIGNALED);
  EXPECT_EQ(job_.signal(), SIGSEGV);
  EXPECT_FALSE(job_.has_exit_code());
}

TEST_F(JobFoldTest, AForkedCallReturnsOrThrows) {
  Run(v1::MODE_FORK);
  v1::Exited* exited = Exit();
  exited->set_exit_code(0);
  exited->mutable_returned()->mutable_value()->set_int_value(5);
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_RETURNED);
  EXPECT_EQ(job_.exit_code(), 0);
  EXPECT_EQ(job_.result().number_value(), 5);
}

TEST_F(JobFoldTest, AForkedCallThatThrewHasExitCodeOneWhateverItsProcessSaid) {
  Run(v1::MODE_FORK);
  v1::Exited* exited = Exit();
  exited->set_exit_code(0);
  exited->mutable_threw()->set_what("no such cell");
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_THREW);
  EXPECT_EQ(job_.exit_code(), 1);
  EXPECT_EQ(job_.message(), "no such cell");
}

TEST_F(JobFoldTest, AForkedCallKilledAfterItsReturnIsSignaledAndKeepsItsResult) {
  Run(v1::MODE_FORK);
  v1::Exited* exited = Exit();
  exited->set_signal(SIGKILL);
  exited->mutable_returned()->mutable_value()->set_int_value(5);
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_SIGNALED);
  EXPECT_FALSE(job_.has_exit_code());
  EXPECT_EQ(job_.result().number_value(), 5);
}

TEST_F(JobFoldTest, TheCauseBeatsTheSignalAndTheCode) {
  Run(v1::MODE_FORK);
  v1::Exited* exited = Exit();
  exited->set_signal(SIGTERM);
  exited->set_cause(v1::END_CAUSE_TIMED_OUT);
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_TIMED_OUT);
  EXPECT_EQ(job_.signal(), SIGTERM);
}

TEST_F(JobFoldTest, ACancelledProcessKeepsItsExitCode) {
  Run(v1::MODE_FORK);
  v1::Exited* exited = Exit();
  exited->set_exit_code(3);
  exited->set_cause(v1::END_CAUSE_CANCELLED);
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_CANCELLED);
  EXPECT_EQ(job_.exit_code(), 3);
}

TEST_F(JobFoldTest, AThreadReturnsThrowsOrStops) {
  Run(v1::MODE_THREAD);
  EXPECT_EQ(job_.tid(), 43);
  EndThread()->mutable_returned()->mutable_value()->set_text_value("x");
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_RETURNED);
  EXPECT_EQ(job_.result().string_value(), "x");
  EXPECT_EQ(job_.exit_code(), 0);
}

TEST_F(JobFoldTest, AThreadThatStoppedAtItsTimeOutIsTimedOut) {
  Run(v1::MODE_THREAD);
  v1::ThreadEnded* ended = EndThread();
  ended->mutable_cancelled();
  ended->set_cause(v1::END_CAUSE_TIMED_OUT);
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_TIMED_OUT);
  EXPECT_FALSE(job_.has_exit_code());
}

TEST_F(JobFoldTest, AThreadThatWentWithItsParentIsParentEndedWhateverWasAsked) {
  Run(v1::MODE_THREAD);
  v1::ThreadEnded* ended = EndThread();
  ended->mutable_parent_ended()->set_culprit_job_id("b");
  ended->set_cause(v1::END_CAUSE_CANCELLED);
  EXPECT_EQ(Fold().outcome(), v1::OUTCOME_PARENT_ENDED);
  EXPECT_EQ(job_.message(), "its parent ended, crashed by job b");
}

TEST_F(JobFoldTest, AFailedStartHasAStepAnErrnoAndNoExitCode) {
  FoldEvent(stream_.Received("a"), &job_);
  FoldEvent(stream_.Starting("a"), &job_);
  v1::Event failed = stream_.Next("a");
  failed.mutable_failed_to_start()->set_step("exec");
  failed.mutable_failed_to_start()->set_error_number(ENOENT);
  FoldEvent(failed, &job_);
  EXPECT_EQ(job_.outcome(), v1::OUTCOME_FAILED_TO_START);
  EXPECT_EQ(job_.failed_step(), "exec");
  EXPECT_EQ(job_.error_number(), ENOENT);
  EXPECT_EQ(job_.message(), "exec failed: No such file or directory");
  EXPECT_FALSE(job_.has_exit_code());
  EXPECT_FALSE(job_.has_pid());
}

TEST_F(JobFoldTest, CancelledBeforeItsStartAndLost) {
  FoldEvent(stream_.Received("a"), &job_);
  v1::Event cancelled = stream_.Next("a");
  cancelled.mutable_cancelled();
  FoldEvent(cancelled, &job_);
  EXPECT_EQ(job_.outcome(), v1::OUTCOME_CANCELLED);

  v1::Job other;
  FoldEvent(stream_.Received("b"), &other);
  FoldEvent(stream_.Starting("b"), &other);
  v1::Event lost = stream_.Next("b");
  lost.mutable_lost()->set_why("its parent was gone");
  FoldEvent(lost, &other);
  EXPECT_EQ(other.outcome(), v1::OUTCOME_LOST);
  EXPECT_EQ(other.message(), "its parent was gone");
}

TEST_F(JobFoldTest, ANewAttemptForgetsTheOldOne) {
  Run(v1::MODE_FORK);
  FoldEvent(stream_.Starting("a"), &job_);
  EXPECT_EQ(job_.attempt(), 2U);
  EXPECT_FALSE(job_.has_pid());
  EXPECT_FALSE(job_.has_start_time());
}

}  // namespace
}  // namespace brood
