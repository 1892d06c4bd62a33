// SPDX-License-Identifier: Apache-2.0
#include "agent/core/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "agent/core/limits.h"
#include "tests/agent/core/core_fixture.h"

namespace brood {
namespace {

using Payload = v1::Event;
using ::testing::ElementsAre;

TEST_F(CoreTest, AJobIsReceivedAndItsAttemptSpentBeforeTheParentIsTold) {
  StartParent();
  EXPECT_EQ(Submit("a").error_code(), 0);
  EXPECT_THAT(Payloads("a"), ElementsAre(Payload::kReceived, Payload::kStarting));
  const std::vector<StartJobEffect> starts = Effects<StartJobEffect>();
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].parent, parent_);
  EXPECT_EQ(starts[0].job.attempt(), 1u);
  EXPECT_EQ(starts[0].job.argv(0), "true");
}

TEST_F(CoreTest, WaitsForTheParentThatStartsByItself) {
  EXPECT_EQ(Submit("a").error_code(), 0);
  EXPECT_THAT(Payloads("a"), ElementsAre(Payload::kReceived, Payload::kQueued));
  EXPECT_EQ(Effects<StartParentEffect>().size(), 1u);
  Batch batch;
  core_->OnParentReady(now_, parent_, {}, {}, &batch);
  Take(&batch);
  EXPECT_EQ(Effects<StartJobEffect>().size(), 1u);
}

TEST_F(CoreTest, SlotsBoundEachModeAndTheLineIsInOrder) {
  StartParent();
  for (const char* id : {"a", "b", "c", "d"}) Submit(id);
  Submit("t", v1::MODE_THREAD);
  EXPECT_EQ(core_->Find("c")->view.queue_position(), 1u);
  EXPECT_EQ(core_->Find("d")->view.queue_position(), 2u);
  // A thread does not wait behind processes.
  EXPECT_EQ(core_->Find("t")->view.state(), v1::JOB_STATE_STARTING);
  Started("a", 10);
  Exited("a", 0);
  EXPECT_EQ(core_->Find("c")->view.state(), v1::JOB_STATE_STARTING);
  EXPECT_EQ(core_->Find("d")->view.state(), v1::JOB_STATE_QUEUED);
}

TEST_F(CoreTest, RefusesWhatTheQueueCannotHold) {
  StartParent();
  for (const char* id : {"a", "b", "c", "d", "e"}) EXPECT_EQ(Submit(id).error_code(), 0);
  const v1::SubmittedJob refused = Submit("f");
  EXPECT_EQ(refused.error_code(), static_cast<int>(ErrorCode::kResourceExhausted));
  EXPECT_EQ(core_->Find("f"), nullptr);
}

TEST_F(CoreTest, TheSameFactTwiceIsOneEvent) {
  StartParent();
  Submit("a");
  Started("a", 10);
  Started("a", 10);
  Exited("a", 4);
  Exited("a", 5);
  Closed("a");
  Closed("a");
  EXPECT_THAT(Payloads("a"),
              ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarted,
                          Payload::kExited, Payload::kOutputClosed, Payload::kCleaned));
  EXPECT_EQ(core_->Find("a")->view.exit_code(), 4);
}

TEST_F(CoreTest, TheLastProgressOfAProcessComesOnceAndBeforeItsEnd) {
  StartParent();
  Submit("a");
  Started("a", 10);
  const CallProgress progress{now_.boot.ns, 1, "done"};
  const uint64_t key = core_->Find("a")->key;
  Batch batch;
  core_->OnProgress(now_.wall, key, progress, &batch);
  ExitedFact fact;
  fact.job_key = key;
  fact.status.exit_code = 0;
  fact.progress = progress;
  core_->OnExited(now_, fact, &batch);
  Take(&batch);
  EXPECT_THAT(Payloads("a"), ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarted,
                                         Payload::kProgress, Payload::kExited));
  Submit("b");
  Started("b", 11);
  fact.job_key = core_->Find("b")->key;
  core_->OnExited(now_, fact, &batch);
  Take(&batch);
  EXPECT_THAT(Payloads("b"), ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarted,
                                         Payload::kProgress, Payload::kExited));
}

TEST_F(CoreTest, OutputThatIsReadBeforeTheStartIsKnownIsToldAfterIt) {
  StartParent();
  Submit("a");
  Batch batch;
  core_->OnOutput(now_, core_->Find("a")->key, v1::STREAM_STDOUT, 0, 100'000, &batch);
  Take(&batch);
  EXPECT_THAT(Payloads("a"), ElementsAre(Payload::kReceived, Payload::kStarting));
  Started("a", 10);
  EXPECT_THAT(Payloads("a"), ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarted,
                                         Payload::kOutput, Payload::kOutput));
}

TEST_F(CoreTest, ACancelledProcessGetsTermThenItsTreeIsKilled) {
  StartParent();
  Submit("a");
  Started("a", 10);
  Cancel("a", 5);
  Cancel("a", 5);  // Asking again changes nothing.
  ASSERT_EQ(Effects<SignalJobEffect>().size(), 1u);
  EXPECT_EQ(Effects<SignalJobEffect>()[0].signal, SIGTERM);
  EXPECT_TRUE(Effects<SignalJobEffect>()[0].whole_group);
  Advance(4);
  EXPECT_TRUE(Effects<TreeEffect>().empty());
  Advance(1);
  ASSERT_EQ(Effects<TreeEffect>().size(), 1u);
  EXPECT_TRUE(Effects<TreeEffect>()[0].kill);
  Exited("a", 0);
  EXPECT_EQ(core_->Find("a")->view.outcome(), v1::OUTCOME_CANCELLED);
}

TEST_F(CoreTest, ACancelWhileItIsStartedReachesItOnceItHas) {
  StartParent();
  Submit("a");
  Cancel("a", 5);
  EXPECT_TRUE(Effects<SignalJobEffect>().empty());
  Started("a", 10);
  EXPECT_EQ(Effects<SignalJobEffect>().size(), 1u);
}

TEST_F(CoreTest, AQueuedJobThatIsCancelledNeverStarts) {
  StartParent();
  for (const char* id : {"a", "b", "c"}) Submit(id);
  Cancel("c", 5);
  EXPECT_THAT(Payloads("c"),
              ElementsAre(Payload::kReceived, Payload::kQueued, Payload::kCancelRequested,
                          Payload::kCancelled, Payload::kOutputClosed, Payload::kCleaned));
  Started("a", 10);
  Exited("a", 0);
  EXPECT_EQ(Effects<StartJobEffect>().size(), 2u);
}

TEST_F(CoreTest, ATimeOutIsCountedFromTheStartAndBeatsTheExitStatus) {
  StartParent();
  Submit("a", v1::MODE_AUTO, 3);
  Started("a", 10);
  Advance(3);
  EXPECT_EQ(Payloads("a").back(), Payload::kTimedOut);
  Exited("a", 0);
  EXPECT_EQ(core_->Find("a")->view.outcome(), v1::OUTCOME_TIMED_OUT);
}

TEST_F(CoreTest, AThreadIsAskedToStopAndSaidNotToHaveStopped) {
  StartParent();
  Submit("t", v1::MODE_THREAD);
  Started("t", 500);
  Cancel("t", 2);
  EXPECT_EQ(Effects<StopCallEffect>().size(), 1u);
  EXPECT_TRUE(Effects<SignalJobEffect>().empty());
  Advance(2);
  EXPECT_EQ(Payloads("t").back(), Payload::kCancelPending);
  Advance(100);
  EXPECT_EQ(core_->Find("t")->view.state(), v1::JOB_STATE_RUNNING);
}

TEST_F(CoreTest, AParentsEndEndsItsThreadsAndOnlyThemAndNamesTheCulprit) {
  StartParent();
  Submit("t", v1::MODE_THREAD);
  Submit("bad", v1::MODE_THREAD);
  Submit("f", v1::MODE_FORK);
  Started("t", 500);
  Started("bad", 500);
  Started("f", 11);
  ParentEndFact fact;
  fact.status.signal = SIGSEGV;
  fact.culprit_job_key = core_->Find("bad")->key;
  Batch batch;
  core_->OnParentEnded(now_, parent_, fact, &batch);
  Take(&batch);
  EXPECT_EQ(core_->Find("t")->view.outcome(), v1::OUTCOME_PARENT_ENDED);
  EXPECT_EQ(events_.back().thread_ended().parent_ended().culprit_job_id(), "bad");
  EXPECT_EQ(core_->Find("f")->view.state(), v1::JOB_STATE_RUNNING);
  // Its status comes by the supervisor, by pid and start.
  OrphanFact stranger;
  stranger.pid = 11;
  stranger.start_ns = now_.boot.ns + 3'000'000'000;
  EXPECT_FALSE(core_->OnOrphanExited(now_, stranger, &batch));
  OrphanFact orphan;
  orphan.pid = 11;
  orphan.start_ns = now_.boot.ns;
  orphan.status.exit_code = 42;
  EXPECT_TRUE(core_->OnOrphanExited(now_, orphan, &batch));
  Take(&batch);
  EXPECT_EQ(core_->Find("f")->view.exit_code(), 42);
}

TEST_F(CoreTest, AKillThatIsAskedForBeforeTheEarlierEndIsHeardOfStays) {
  StartParent();
  Batch batch;
  ASSERT_TRUE(core_->EndParent(now_, kDefaultParent, v1::PARENT_END_THREAD_EXIT, &batch).ok());
  ASSERT_TRUE(core_->EndParent(now_, kDefaultParent, v1::PARENT_END_KILL, &batch).ok());
  core_->OnParentEnding(now_, parent_, v1::PARENT_END_THREAD_EXIT, &batch);
  Take(&batch);
  EXPECT_EQ(events_.back().parent_ending().how(), v1::PARENT_END_THREAD_EXIT);
  core_->OnParentEnded(now_, parent_, ParentEndFact(), &batch);
  Take(&batch);
  EXPECT_EQ(events_.back().parent_ended().how(), v1::PARENT_END_KILL);
}

TEST_F(CoreTest, AfterACrashAutoRunsThatLibraryAsProcesses) {
  StartParent();
  Submit("bad", v1::MODE_THREAD);
  Started("bad", 500);
  ParentEndFact fact;
  fact.status.signal = SIGSEGV;
  fact.culprit_job_key = core_->Find("bad")->key;
  Batch batch;
  core_->OnParentEnded(now_, parent_, fact, &batch);
  Take(&batch);
  Submit("next", v1::MODE_UNSPECIFIED);
  EXPECT_EQ(core_->Find("next")->mode, v1::MODE_FORK);
  EXPECT_THAT(core_->Find("next")->reason, ::testing::HasSubstr("crash"));

  // The next agent knows it from the journal.
  const ParentKey next{kDefaultParent, 2};
  core_->OnParentStarted(now_, next, v1::Unit(), &batch);
  Take(&batch);
  Reboot();
  v1::Task add;
  add.set_name("demo.add");
  add.add_parameters()->set_type(v1::VALUE_TYPE_INT);
  core_->OnParentReady(now_, next, {add}, {"demo"}, &batch);
  Take(&batch);
  Submit("later", v1::MODE_UNSPECIFIED);
  ASSERT_NE(core_->Find("later"), nullptr);
  EXPECT_THAT(core_->Find("later")->reason, ::testing::HasSubstr("crash"));
}

TEST_F(CoreTest, WhatTheDefaultParentDidNotStartBeforeItsEndItsNextLifeDoes) {
  StartParent();
  for (const char* const id : {"a", "b", "c"}) Submit(id);
  Started("b", 10);
  ParentEnded();
  EXPECT_EQ(core_->queued(), 2u);
  ASSERT_EQ(Effects<StartParentEffect>().size(), 2u);
  const ParentKey next = Effects<StartParentEffect>().back().parent;
  Batch batch;
  core_->OnParentStarted(now_, next, v1::Unit(), &batch);
  core_->OnParentReady(now_, next, {}, {}, &batch);
  Take(&batch);
  // One slot is b's, which goes on.
  EXPECT_EQ(Effects<StartJobEffect>().back().job.job_id(), "a");
  EXPECT_EQ(Effects<StartJobEffect>().back().job.attempt(), 2u);
  EXPECT_EQ(core_->queued(), 1u);
  EXPECT_THAT(Payloads("a"),
              ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarting));
}

TEST_F(CoreTest, WhatNoLifeOfItsParentStartsIsLostInTheEnd) {
  StartParent();
  Submit("a");
  for (uint64_t life = 1; core_->Find("a")->view.outcome() == v1::OUTCOME_UNSPECIFIED; ++life) {
    ASSERT_LT(life, 10u);
    EXPECT_EQ(core_->Find("a")->view.attempt(), life);
    Batch batch;
    core_->OnParentEnded(now_, ParentKey{kDefaultParent, life}, ParentEndFact(), &batch);
    const ParentKey next{kDefaultParent, life + 1};
    core_->OnParentStarted(now_, next, v1::Unit(), &batch);
    core_->OnParentReady(now_, next, {}, {}, &batch);
    Take(&batch);
  }
  EXPECT_EQ(core_->Find("a")->view.outcome(), v1::OUTCOME_LOST);
  EXPECT_EQ(core_->Find("a")->view.attempt(), 5u);
}

TEST_F(CoreTest, WhatWasCancelledAndNotStartedWhenItsParentEndedIsCancelled) {
  StartParent();
  Submit("a");
  Cancel("a", 1);
  ParentEnded();
  EXPECT_EQ(core_->Find("a")->view.outcome(), v1::OUTCOME_CANCELLED);
  EXPECT_TRUE(core_->Find("a")->view.cleaned());
}

TEST_F(CoreTest, WhatANamedParentDidNotStartIsLostAndDidNotRun) {
  Batch batch;
  const ParentKey named{"q", 1};
  ASSERT_TRUE(core_->StartParent(now_, "q", {}, &batch).ok());
  core_->OnParentStarted(now_, named, v1::Unit(), &batch);
  core_->OnParentReady(now_, named, {}, {}, &batch);
  v1::JobSubmission job;
  job.set_job_id("a");
  job.mutable_spec()->mutable_command()->add_argv("true");
  job.mutable_spec()->set_parent("q");
  uint64_t key = 0;
  core_->Submit(now_, job, 7, &key, &batch);
  core_->OnParentEnded(now_, named, ParentEndFact(), &batch);
  Take(&batch);
  EXPECT_EQ(core_->Find("a")->view.outcome(), v1::OUTCOME_LOST);
  EXPECT_FALSE(events_.back().lost().may_have_run());
}

TEST_F(CoreTest, NoEventAndNoViewHasTheEnvironment) {
  StartParent();
  SubmitWithToken("a");
  ASSERT_EQ(Effects<StartJobEffect>().size(), 1u);
  EXPECT_THAT(Effects<StartJobEffect>()[0].job.environment().set(), ElementsAre("TOKEN=hush"));
  EXPECT_EQ(core_->Find("a")->view.DebugString().find("hush"), std::string::npos);
  for (const v1::Event& event : events_)
    EXPECT_EQ(event.DebugString().find("hush"), std::string::npos);
}

TEST_F(CoreTest, AJobsTextThatIsNotUtf8CanBeReadAgain) {
  StartParent();
  Submit("a");
  Started("a", 10);
  Batch batch;
  core_->OnProgress(now_.wall, core_->Find("a")->key, CallProgress{now_.boot.ns, 0.5, "cut \xC3"},
                    &batch);
  Take(&batch);
  EXPECT_EQ(events_.back().progress().text(), "cut \uFFFD");
  Reboot();
  EXPECT_NE(core_->Find("a"), nullptr);
}

TEST_F(CoreTest, TheSameInputsGiveTheSameBytes) {
  const auto run = [this] {
    SetUp();
    incarnation_ = 1;
    Boot(2, 2, 3);
    order_ = EventOrder();
    records_.clear();
    StartParent();
    for (const char* id : {"a", "b", "c"}) Submit(id);
    Started("a", 10);
    Cancel("c", 1);
    Exited("a", 0);
    std::string all;
    for (const JournalRecord& record : records_) all += record.payload;
    return all;
  };
  const std::string first = run();
  EXPECT_EQ(first, run());
}

TEST_F(CoreTest, ADrainedHostRefusesAndAResumedOneTakesJobs) {
  StartParent();
  core_->SetState(v1::HOST_STATE_DRAINING);
  EXPECT_EQ(Submit("a").error_reason(), "DRAINING");
  core_->SetState(v1::HOST_STATE_READY);
  EXPECT_EQ(Submit("a").error_code(), 0);
}

TEST_F(CoreTest, AParentsEndingIsSaidOnceAndKnownToTheNextAgent) {
  StartParent();
  Batch batch;
  core_->OnParentEnding(now_, parent_, v1::PARENT_END_THREAD_EXIT, &batch);
  Take(&batch);
  Reboot();
  EXPECT_EQ(core_->parents().at(kDefaultParent).state, v1::PARENT_STATE_ENDING);
  const size_t events = events_.size();
  // The note is read again.
  core_->OnParentEnding(now_, parent_, v1::PARENT_END_THREAD_EXIT, &batch);
  Take(&batch);
  EXPECT_EQ(events_.size(), events);
}

TEST_F(CoreTest, AJobOfAParentThatLeftIsSignalledPastItByTheNextAgent) {
  StartParent();
  Submit("a");
  Started("a", 700);
  Batch batch;
  core_->OnParentEnding(now_, parent_, v1::PARENT_END_THREAD_EXIT, &batch);
  Take(&batch);
  Reboot();
  Cancel("a", 1);
  ASSERT_FALSE(Effects<SignalJobEffect>().empty());
  EXPECT_FALSE(Effects<SignalJobEffect>().back().parent_lives) << "it listens to nobody any more";
}

TEST_F(CoreTest, AJobOfALifeBeforeIsStillCountedAsAliveByTheNextAgent) {
  StartParent();
  Submit("a");
  Started("a", 700);
  Submit("b");
  ParentEnded();
  const ParentKey next = Effects<StartParentEffect>().back().parent;
  ASSERT_EQ(next.incarnation, 2u) << "b waits for it";
  v1::Unit unit;
  unit.set_pid(501);
  Batch batch;
  core_->OnParentStarted(now_, next, unit, &batch);
  Take(&batch);
  Reboot();
  EXPECT_EQ(core_->parents().at(kDefaultParent).live[0].count(core_->Find("a")->key), 1u);
}

TEST_F(CoreTest, AThreadThatWasToldToStopIsToldAgainByTheNextAgent) {
  StartParent();
  Submit("a", v1::MODE_THREAD);
  Started("a", 500);
  Cancel("a", 1);
  Reboot();
  effects_.clear();
  v1::Task add;
  add.set_name("demo.add");
  Batch batch;
  core_->OnParentReady(now_, parent_, {add}, {"demo"}, &batch);
  Take(&batch);
  EXPECT_EQ(Effects<StopCallEffect>().size(), 1u) << "what was sent before had nobody to read it";
}

TEST_F(CoreTest, ACancelledThreadIsSaidToBePendingOnceItRuns) {
  StartParent();
  Submit("a", v1::MODE_THREAD);
  Cancel("a", 1);
  Advance(2);
  EXPECT_EQ(Payloads("a").back(), v1::Event::kCancelRequested);
  Started("a", 500);
  Advance(2);
  EXPECT_EQ(Payloads("a").back(), v1::Event::kCancelPending);
}

TEST_F(CoreTest, AfterAnotherBootNothingOfTheLastIsSignalledOrStartedAgain) {
  StartParent();
  for (const char* const id : {"runs", "starting", "waits"}) Submit(id);
  Started("runs", 700);
  Cancel("runs", 1);
  boot_id_ = "another boot";
  effects_.clear();
  Reboot();
  EXPECT_EQ(core_->parents().at(kDefaultParent).state, v1::PARENT_STATE_ENDED);
  const v1::Job& ran = core_->Find("runs")->view;
  EXPECT_EQ(ran.state(), v1::JOB_STATE_ENDED);
  EXPECT_FALSE(ran.has_exit_code() || ran.has_signal()) << "nobody knows";
  EXPECT_EQ(core_->Find("starting")->view.outcome(), v1::OUTCOME_LOST) << "it may have run";
  EXPECT_EQ(core_->Find("waits")->view.state(), v1::JOB_STATE_QUEUED);
  EXPECT_TRUE(Effects<SignalJobEffect>().empty()) << "its pid is somebody else's";
  EXPECT_TRUE(Effects<TreeEffect>().empty());
  EXPECT_TRUE(Effects<StartJobEffect>().empty());
  EXPECT_EQ(core_->TakeEnded().size(), 1u) << "its output is still to be closed";
}

TEST_F(CoreTest, AParentIsToldAgainOfWhatItMayLetGo) {
  StartParent();
  Submit("a");
  Started("a", 700);
  Exited("a", 0);
  Closed("a");
  Reboot();
  effects_.clear();
  Batch batch;
  core_->OnParentReady(now_, parent_, {}, {}, &batch);
  Take(&batch);
  ASSERT_EQ(Effects<DrainedEffect>().size(), 1u) << "the agent before may not have lived to say it";
  EXPECT_EQ(Effects<DrainedEffect>().front().job_key, core_->Find("a")->key);
}

}  // namespace
}  // namespace brood
