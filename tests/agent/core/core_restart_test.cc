// SPDX-License-Identifier: Apache-2.0
//
// What an agent makes of the journal that the one before it left.
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
using ::testing::HasSubstr;

class CoreRestartTest : public CoreTest {
 protected:
  // The parent that lived on is found, and says what it can run.
  void FindParent() {
    v1::Task add;
    add.set_name("demo.add");
    add.add_parameters()->set_type(v1::VALUE_TYPE_INT);
    Batch batch;
    core_->OnParentReady(now_, parent_, {add}, {"demo"}, &batch);
    Take(&batch);
  }
  void UnknownToParent(const std::string& id) {
    Batch batch;
    core_->OnUnknownToParent(now_, parent_, {core_->Find(id)->key}, &batch);
    Take(&batch);
  }
  std::vector<std::string> StartedSince(size_t effects) {
    std::vector<std::string> ids;
    const std::vector<StartJobEffect> starts = Effects<StartJobEffect>();
    for (size_t i = effects; i < starts.size(); ++i) ids.push_back(starts[i].job.job_id());
    return ids;
  }
};

TEST_F(CoreRestartTest, AReplayOfTheJournalIsTheSameState) {
  StartParent();
  Submit("a");
  Submit("t", v1::MODE_THREAD);
  Started("a", 10);
  Started("t", 500);
  Exited("a", 3);
  Closed("a");
  const std::string before = core_->Find("a")->view.SerializeAsString();
  Reboot();
  EXPECT_EQ(core_->Find("a")->view.SerializeAsString(), before);
  // What ran goes on: its end is taken when it comes.
  Batch batch;
  core_->OnThreadEnded(
      now_, ThreadEndedFact{core_->Find("t")->key, CallResult{v1::Value(), std::nullopt, false}},
      &batch);
  Take(&batch);
  EXPECT_EQ(core_->Find("t")->view.outcome(), v1::OUTCOME_RETURNED);
}

TEST_F(CoreRestartTest, WhatWasBeingCancelledWhenTheAgentDiedIsEndedByTheNextOne) {
  StartParent();
  Submit("a");
  Started("a", 10);
  Cancel("a", 5);
  Reboot();
  ASSERT_EQ(Effects<SignalJobEffect>().size(), 2u);
  EXPECT_FALSE(Effects<SignalJobEffect>()[1].parent_lives);
  EXPECT_TRUE(Effects<TreeEffect>().empty());
  Advance(5);
  EXPECT_EQ(Effects<TreeEffect>().size(), 1u);
}

TEST_F(CoreRestartTest, ATimeOutIsCountedFromTheStartThroughTheAgentsDeath) {
  StartParent();
  Submit("a", v1::MODE_AUTO, 10);
  Started("a", 10);
  Advance(4);
  Reboot();
  Advance(5);
  EXPECT_EQ(core_->Find("a")->cause, v1::END_CAUSE_UNSPECIFIED);
  Advance(1);
  EXPECT_EQ(core_->Find("a")->cause, v1::END_CAUSE_TIMED_OUT);
}

TEST_F(CoreRestartTest, ATimeOutThatPassedWhileNoAgentLivedIsDoneAtOnce) {
  StartParent();
  Submit("a", v1::MODE_AUTO, 10);
  Started("a", 10);
  now_.boot.ns += 3'600'000'000'000;
  Reboot();
  Advance(0);
  EXPECT_EQ(core_->Find("a")->cause, v1::END_CAUSE_TIMED_OUT);
}

TEST_F(CoreRestartTest, ALivingJobWhoseFirstEventsAreNoLongerKeptGoesOn) {
  StartParent();
  Submit("a");
  Started("a", 10);
  Batch batch;
  core_->OnProgress(now_.wall, core_->Find("a")->key, CallProgress{now_.boot.ns, 0.5, ""}, &batch);
  Take(&batch);
  // Of the job its last event is left.
  const uint64_t last = records_.back().cursor;
  std::erase_if(records_, [last](const JournalRecord& record) {
    return record.job_key != 0 && record.cursor != last;
  });
  Reboot();
  const v1::Job& job = core_->Find("a")->view;
  EXPECT_EQ(job.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(job.pid(), 10);
  EXPECT_EQ(job.attempt(), 1u);
  EXPECT_EQ(core_->Find("a")->kill_grace_ns, kKillGraceDefaultNanos) << "a cancel begins with TERM";
  Exited("a", 3);
  EXPECT_EQ(job.exit_code(), 3);
}

TEST_F(CoreRestartTest, OfAnEndedJobWhoseEndIsNoLongerKeptTheEndIsUnknown) {
  StartParent();
  Submit("a");
  Started("a", 10);
  Exited("a", 3);
  Closed("a");
  const uint64_t last = records_.back().cursor;
  std::erase_if(records_, [last](const JournalRecord& record) {
    return record.job_key != 0 && record.cursor != last;
  });
  Reboot();
  EXPECT_EQ(core_->Find("a")->view.state(), v1::JOB_STATE_ENDED);
  EXPECT_FALSE(core_->Find("a")->view.has_exit_code());
}

TEST_F(CoreRestartTest, JobsThatWaitedAreStartedByTheNextAgentInTheirOrder) {
  StartParent();
  for (const char* const id : {"a", "b", "c", "d"}) Submit(id);
  for (const char* const id : {"a", "b"}) Started(id, 10 + id[0]);
  Reboot();
  EXPECT_THAT(Payloads("c"), ElementsAre(Payload::kReceived, Payload::kQueued));
  EXPECT_EQ(core_->queued(), 2u);
  const size_t before = Effects<StartJobEffect>().size();
  FindParent();
  EXPECT_THAT(StartedSince(before), ElementsAre()) << "both slots are held";
  Exited("a", 0);
  EXPECT_THAT(StartedSince(before), ElementsAre("c"));
  Exited("b", 0);
  EXPECT_THAT(StartedSince(before), ElementsAre("c", "d"));
  EXPECT_THAT(Payloads("c"), ElementsAre(Payload::kReceived, Payload::kQueued, Payload::kStarting));
  EXPECT_EQ(core_->Find("c")->view.attempt(), 1u);
}

TEST_F(CoreRestartTest, ACallThatWaitedHasItsArgumentsAndItsMode) {
  StartParent();
  for (const char* const id : {"a", "b", "c"}) Submit(id, v1::MODE_THREAD);
  Reboot();
  FindParent();
  for (const char* const id : {"a", "b"}) UnknownToParent(id);
  const std::vector<StartJobEffect> starts = Effects<StartJobEffect>();
  ASSERT_EQ(starts.size(), 4u);
  for (const StartJobEffect& start : starts) {
    EXPECT_TRUE(start.job.thread());
    ASSERT_EQ(start.job.arguments_size(), 1);
    EXPECT_EQ(start.job.arguments(0).int_value(), 1);
  }
}

TEST_F(CoreRestartTest, ATaskThatThereIsNoLongerFailsTheCallsThatWaited) {
  StartParent();
  for (const char* const id : {"a", "b", "c"}) Submit(id, v1::MODE_THREAD);
  for (const char* const id : {"a", "b"}) Started(id, 500);
  Reboot();
  Batch batch;
  core_->OnParentReady(now_, parent_, {}, {}, &batch);
  Take(&batch);
  EXPECT_EQ(core_->Find("c")->view.outcome(), v1::OUTCOME_FAILED_TO_START);
  EXPECT_THAT(core_->Find("c")->view.message(), HasSubstr("demo.add"));
  EXPECT_TRUE(core_->Find("c")->view.cleaned());
  EXPECT_EQ(core_->queued(), 0u);
}

TEST_F(CoreRestartTest, AnEnvironmentIsKeptUntilTheStartAndNoLonger) {
  StartParent();
  SubmitWithToken("a");
  SubmitWithToken("b");
  SubmitWithToken("c");
  EXPECT_EQ(environments_.size(), 3u);
  Started("a", 10);
  EXPECT_EQ(environments_.size(), 2u);
  Reboot();
  FindParent();
  Exited("a", 0);
  const std::vector<StartJobEffect> starts = Effects<StartJobEffect>();
  EXPECT_EQ(starts.back().job.job_id(), "c");
  EXPECT_THAT(starts.back().job.environment().set(), ElementsAre("TOKEN=hush"));
  Started("c", 12);
  UnknownToParent("b");
  EXPECT_THAT(Effects<StartJobEffect>().back().job.environment().set(), ElementsAre("TOKEN=hush"));
  Cancel("b", 0);
  EXPECT_EQ(environments_.size(), 1u) << "it may still start";
  Batch batch;
  core_->OnFailedToStart(now_, FailedFact{core_->Find("b")->key, 2, "fork", 11, "no"}, &batch);
  Take(&batch);
  EXPECT_TRUE(environments_.empty());
  for (const v1::Event& event : events_)
    EXPECT_EQ(event.DebugString().find("hush"), std::string::npos);
}

TEST_F(CoreRestartTest, WithoutItsEnvironmentOrItsInputAJobIsLostAndDidNotRun) {
  StartParent();
  Submit("a");
  Submit("b");
  SubmitWithToken("c");
  v1::JobSubmission reads;
  reads.set_job_id("d");
  reads.mutable_spec()->mutable_command()->add_argv("cat");
  reads.mutable_spec()->set_stdin_stream(true);
  Batch batch;
  uint64_t key = 0;
  core_->Submit(now_, reads, 7, &key, &batch);
  Take(&batch);
  environments_.clear();  // As after a loss of power.
  Reboot();
  for (const char* const id : {"c", "d"}) {
    EXPECT_THAT(Payloads(id), ElementsAre(Payload::kReceived, Payload::kQueued, Payload::kLost,
                                          Payload::kOutputClosed, Payload::kCleaned));
  }
  EXPECT_THAT(core_->Find("c")->view.message(), HasSubstr("environment"));
  EXPECT_THAT(core_->Find("d")->view.message(), HasSubstr("input"));
}

TEST_F(CoreRestartTest, WhatTheParentNeverHeardOfIsStartedByAnotherAttempt) {
  StartParent();
  Submit("a", v1::MODE_AUTO, 100);
  Submit("b");
  Submit("c");
  Started("b", 10);
  Reboot();
  FindParent();
  ASSERT_EQ(Effects<AskKnownEffect>().size(), 1u);
  EXPECT_THAT(Effects<AskKnownEffect>()[0].job_keys, ElementsAre(core_->Find("a")->key));
  UnknownToParent("a");
  EXPECT_EQ(Effects<StartJobEffect>().back().job.job_id(), "a");
  EXPECT_EQ(Effects<StartJobEffect>().back().job.attempt(), 2u);
  EXPECT_THAT(Payloads("a"),
              ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarting));
  EXPECT_EQ(core_->queued(), 1u) << "it has had its slot all the time";
  // Its time-out counts from the attempt that ran.
  EXPECT_EQ(core_->NextDeadline(), now_.boot.ns + 100'000'000'000);
}

TEST_F(CoreRestartTest, WhatWasCancelledAndNeverSentIsCancelled) {
  StartParent();
  for (const char* const id : {"a", "b", "c"}) Submit(id);
  for (const char* const id : {"a", "c"}) Cancel(id, 1);
  EXPECT_EQ(core_->Find("c")->view.outcome(), v1::OUTCOME_CANCELLED);
  // The agent died between the two events of the last one's end.
  while (events_.back().payload_case() != Payload::kCancelRequested) {
    events_.pop_back();
    records_.pop_back();
  }
  order_ = EventOrder();
  for (const v1::Event& event : events_) EXPECT_FALSE(order_.Check(event));
  Reboot();
  EXPECT_EQ(core_->Find("c")->view.outcome(), v1::OUTCOME_CANCELLED);
  FindParent();
  UnknownToParent("a");
  EXPECT_EQ(core_->Find("a")->view.outcome(), v1::OUTCOME_CANCELLED);
  EXPECT_TRUE(core_->Find("a")->view.cleaned());
}

TEST_F(CoreRestartTest, WhoWaitedForANamedParentThatIsGoneHearsOfIt) {
  StartParent();
  Batch batch;
  const ParentKey named{"q", 1};
  ASSERT_TRUE(core_->StartParent(now_, "q", {}, &batch).ok());
  Take(&batch);
  v1::Unit unit;
  unit.set_pid(600);
  core_->OnParentStarted(now_, named, unit, &batch);
  Take(&batch);
  v1::JobSubmission job;
  job.set_job_id("w");
  job.mutable_spec()->mutable_command()->add_argv("true");
  job.mutable_spec()->set_parent("q");
  uint64_t key = 0;
  core_->Submit(now_, job, 7, &key, &batch);
  Take(&batch);
  Reboot();
  EXPECT_EQ(core_->Find("w")->view.state(), v1::JOB_STATE_QUEUED);
  core_->OnParentEnded(now_, named, ParentEndFact(), &batch);
  Take(&batch);
  EXPECT_EQ(core_->Find("w")->view.outcome(), v1::OUTCOME_FAILED_TO_START);
}

TEST_F(CoreRestartTest, WhatItsParentDidNotStartBeforeItsEndTheNextAgentHasStarted) {
  StartParent();
  Submit("a");
  Submit("t", v1::MODE_THREAD);
  Started("t", 500);
  ParentEnded();
  // Of the ends of the parent and its thread, only the first was written when the agent died.
  while (events_.back().payload_case() != Payload::kParentEnded) {
    events_.pop_back();
    records_.pop_back();
  }
  order_ = EventOrder();
  for (const v1::Event& event : events_) EXPECT_FALSE(order_.Check(event));
  Reboot();
  EXPECT_EQ(core_->Find("t")->view.outcome(), v1::OUTCOME_PARENT_ENDED);
  EXPECT_EQ(core_->queued(), 1u);
  Batch batch;
  ASSERT_TRUE(core_->StartParent(now_, kDefaultParent, {}, &batch).ok());
  const ParentKey next{kDefaultParent, 2};
  core_->OnParentStarted(now_, next, v1::Unit(), &batch);
  core_->OnParentReady(now_, next, {}, {}, &batch);
  Take(&batch);
  EXPECT_EQ(Effects<StartJobEffect>().back().job.job_id(), "a");
  EXPECT_EQ(Effects<StartJobEffect>().back().job.attempt(), 2u);
}

TEST_F(CoreRestartTest, OutputThatWasNotClosedIsReadOnceItsParentHasGivenItsStreams) {
  StartParent();
  for (const char* const id : {"a", "b"}) {
    Submit(id);
    Started(id, 10 + id[0]);
    Exited(id, 0);
  }
  Closed("a");
  core_->TakeEnded();
  Reboot();
  EXPECT_TRUE(core_->TakeEnded().empty());
  FindParent();
  EXPECT_THAT(core_->TakeEnded(), ElementsAre(core_->Find("b")->key));
  Closed("b");
  EXPECT_TRUE(core_->Find("b")->view.cleaned());
  EXPECT_TRUE(core_->TakeEnded().empty());
}

TEST_F(CoreRestartTest, OfAJobThatEndedWithoutAnAgentTheOutputIsReadOnceItsStreamsAreHere) {
  StartParent();
  Submit("a");
  Started("a", 10);
  Reboot();
  Exited("a", 0);  // By the notes, before the parent has answered.
  EXPECT_TRUE(core_->TakeEnded().empty());
  FindParent();
  EXPECT_THAT(core_->TakeEnded(), ElementsAre(core_->Find("a")->key));
}

TEST_F(CoreRestartTest, OutputThatWasNotClosedIsReadWhereItsParentIsGone) {
  StartParent();
  Submit("a");
  Started("a", 10);
  Exited("a", 0);
  Reboot();
  ParentEnded();
  EXPECT_THAT(core_->TakeEnded(), ElementsAre(core_->Find("a")->key));
  Reboot();
  EXPECT_THAT(core_->TakeEnded(), ElementsAre(core_->Find("a")->key));
}

TEST_F(CoreRestartTest, AParentThatTheAgentBeforeHadAskedForIsAdopted) {
  StartParent();
  Submit("a");
  ParentEnded();
  const ParentKey next = Effects<StartParentEffect>().back().parent;
  EXPECT_EQ(next.incarnation, 2u);
  Reboot();
  v1::Unit unit;
  unit.set_pid(700);
  Batch batch;
  core_->OnParentStarted(now_, next, unit, &batch);
  core_->OnParentReady(now_, next, {}, {}, &batch);
  Take(&batch);
  EXPECT_EQ(core_->parents().at(kDefaultParent).unit.pid(), 700);
  EXPECT_EQ(Effects<StartJobEffect>().back().parent, next);
  EXPECT_EQ(Effects<StartParentEffect>().size(), 2u);
}

TEST_F(CoreRestartTest, WhatASupervisorThatDiedDidNotStartTheNextIsAskedFor) {
  Batch batch;
  ASSERT_TRUE(core_->StartParent(now_, kDefaultParent, {}, &batch).ok());
  core_->OnSupervisorChanged(&batch);
  Take(&batch);
  const std::vector<StartParentEffect> asked = Effects<StartParentEffect>();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].parent, asked[0].parent);
  v1::Unit unit;
  unit.set_pid(700);
  core_->OnParentStarted(now_, asked[0].parent, unit, &batch);
  core_->OnSupervisorChanged(&batch);
  Take(&batch);
  EXPECT_EQ(Effects<StartParentEffect>().size(), 2u) << "it is there";
}

}  // namespace
}  // namespace brood
