// SPDX-License-Identifier: Apache-2.0
//
// The judge lets a true story pass, and finds each lie in it.
#include "tests/chaos/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace brood::chaos {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class JudgeTest : public ::testing::Test {
 protected:
  JudgeTest() {
    Plan& plan = story_.plans["a"];
    plan.is_command = true;
    plan.exit_code = 3;
    plan.output = "text";
    story_.acknowledged = {"a"};
    story_.ledger["a"] = {1, 1};
    Add([](v1::Event* event) { event->mutable_received(); });
    Add([](v1::Event* event) {
      event->mutable_starting()->set_mode(v1::MODE_FORK);
      event->mutable_starting()->set_reason("asked for");
    });
    Add([](v1::Event* event) {
      event->mutable_unit()->set_pid(10);
      event->mutable_started();
    });
    Add([](v1::Event* event) {
      event->mutable_output()->set_stream(v1::STREAM_STDOUT);
      event->mutable_output()->set_length(4);
      event->mutable_output()->set_bytes("text");
    });
    Add([](v1::Event* event) { event->mutable_exited()->set_exit_code(3); });
    Add([](v1::Event* event) { event->mutable_output_closed()->set_stdout_bytes(4); });
    Add([](v1::Event* event) { event->mutable_cleaned(); });
    story_.watchers = {{1, 2, 3, 4, 5, 6, 7}};
  }

  void Add(const std::function<void(v1::Event*)>& fill) {
    v1::Event event;
    event.set_job_id("a");
    event.set_host("h");
    event.set_seq(story_.journal.size() + 1);
    event.set_cursor(event.seq());
    event.set_attempt(story_.journal.empty() ? 0 : 1);
    event.set_observer(v1::OBSERVER_AGENT);
    event.set_evidence(v1::EVIDENCE_SEEN);
    event.mutable_unit()->set_mode(v1::MODE_FORK);
    fill(&event);
    story_.journal.push_back(event);
  }

  Observed story_;
};

TEST_F(JudgeTest, LetsATrueStoryPass) { EXPECT_THAT(Judge(story_), IsEmpty()); }

TEST_F(JudgeTest, FindsAJobThatIsGone) {
  story_.plans["b"] = Plan();
  EXPECT_THAT(Judge(story_), IsEmpty()) << "nobody acknowledged it, and it did not run";
  story_.acknowledged.insert("b");
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("b was acknowledged and is gone")));
}

TEST_F(JudgeTest, FindsAJobThatRanTwice) {
  story_.ledger["a"] = {2, 2};
  EXPECT_THAT(Judge(story_), Contains(HasSubstr("a began 2 times")));
}

TEST_F(JudgeTest, FindsAJobThatRanWithoutATrace) {
  story_.plans["b"] = Plan();
  story_.ledger["b"] = {1, 1};
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("b ran, and is not in the journal")));
}

TEST_F(JudgeTest, FindsAnEndThatIsNone) {
  story_.ledger["a"] = {1, 0};
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("a is said to have run")));
}

TEST_F(JudgeTest, FindsAWrongExitCodeAndAnUnknownOne) {
  story_.journal[4].mutable_exited()->set_exit_code(0);
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("is said to have with 0")));
  story_.journal[4].mutable_exited()->clear_exit_code();
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("unknown code")));
}

TEST_F(JudgeTest, FindsOutputThatIsNotWhatWasWritten) {
  story_.journal[3].mutable_output()->set_bytes("tex!");
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("wrote 'text'")));
}

TEST_F(JudgeTest, LetsOutputGoWhereADiskFailedAndFindsWhatWasNotCounted) {
  story_.journal[3].mutable_output()->set_length(1);
  story_.journal[3].mutable_output()->set_bytes("t");
  story_.journal[5].mutable_output_closed()->set_stdout_bytes(1);
  story_.journal[5].mutable_output_closed()->set_dropped_bytes(3);
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("wrote 'text'")));
  story_.output_may_be_dropped = true;
  EXPECT_THAT(Judge(story_), IsEmpty());
  story_.journal[5].mutable_output_closed()->set_dropped_bytes(2);
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("wrote 'text'")));
}

TEST_F(JudgeTest, LetsAsManyStartsFailAsWereMadeTo) {
  story_.journal.resize(4);
  story_.journal[2].clear_started();
  story_.journal[2].mutable_failed_to_start()->set_step("pipe");
  story_.journal[3].mutable_output_closed();
  Add([](v1::Event* event) { event->mutable_cleaned(); });
  story_.watchers.clear();
  story_.ledger.clear();
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("ended as OUTCOME_FAILED_TO_START")));
  story_.starts_may_fail = 1;
  EXPECT_THAT(Judge(story_), IsEmpty());
  story_.ledger["a"] = {1, 0};
  EXPECT_THAT(Judge(story_), Contains(HasSubstr("began and is said not to have started")));
}

TEST_F(JudgeTest, FindsALostJobAndACancelByNobody) {
  story_.journal[4].mutable_lost()->set_why("it is too bad");
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("it is too bad")));
  v1::Event cancel = story_.journal[4];
  cancel.mutable_cancel_requested();
  story_.journal[4].mutable_exited()->set_signal(15);
  story_.journal[4].mutable_exited()->set_cause(v1::END_CAUSE_CANCELLED);
  story_.journal.insert(story_.journal.begin() + 4, cancel);
  for (size_t i = 5; i < story_.journal.size(); ++i) {
    story_.journal[i].set_seq(i + 1);
    story_.journal[i].set_cursor(i + 1);
  }
  story_.watchers[0].push_back(8);
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("cancelled by nobody")));
  story_.plans["a"].may_be_cancelled = true;
  EXPECT_THAT(Judge(story_), IsEmpty());
}

TEST_F(JudgeTest, LetsACallThatDidNotBeginGoWithItsParentAndNoOther) {
  story_.journal.resize(4);
  story_.journal[2] = story_.journal[1];
  story_.journal[2].set_seq(3);
  story_.journal[2].set_cursor(3);
  story_.journal[2].mutable_lost()->set_why("its parent ended");
  story_.journal[3].mutable_output_closed();
  Add([](v1::Event* event) { event->mutable_cleaned(); });
  story_.watchers.clear();
  story_.ledger.clear();
  story_.plans["a"].is_command = false;
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("ended as OUTCOME_LOST")));
  story_.parents_died = true;
  EXPECT_THAT(Judge(story_), IsEmpty());
  story_.ledger["a"] = {1, 0};
  EXPECT_THAT(Judge(story_), Contains(HasSubstr("began and is said not to have started")));
  story_.ledger.clear();
  story_.plans["a"].is_command = true;
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("ended as OUTCOME_LOST")));
}

TEST_F(JudgeTest, FindsAnEventThatAWatcherMissedOrHeardTwice) {
  story_.watchers = {{1, 2, 4, 5, 6, 7}};
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("was handed event 4 after 2")));
  story_.watchers = {{1, 2, 2, 3, 4, 5, 6, 7}};
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("was handed event 2 after 2")));
  story_.watchers = {{1, 2, 3, 4, 5, 6}};
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("ended at event 6 of 7")));
}

TEST_F(JudgeTest, FindsAJournalWithAHoleAndALifeWithoutAnEnd) {
  story_.journal.erase(story_.journal.begin() + 3);
  story_.watchers.clear();
  EXPECT_THAT(Judge(story_), Contains(HasSubstr("the journal has event 5 after 3")));
  story_.journal.resize(3);
  EXPECT_THAT(Judge(story_), ElementsAre(HasSubstr("a has no end")));
}

TEST_F(JudgeTest, HoldsDurableJobsToMoreAfterALossOfPower) {
  story_.power_was_lost = true;
  story_.plans["b"] = Plan();
  story_.acknowledged.insert("b");
  story_.ledger["a"] = {2, 2};
  EXPECT_THAT(Judge(story_), IsEmpty());
  story_.plans["a"].is_durable = story_.plans["b"].is_durable = true;
  EXPECT_THAT(Judge(story_), UnorderedElementsAre(HasSubstr("a is durable and began 2 times"),
                                                  HasSubstr("b was acknowledged and is gone")));
}

TEST_F(JudgeTest, LetsAJobEndAsItWasPlanned) {
  story_.journal[4].mutable_exited()->clear_exit_code();
  story_.journal[4].mutable_exited()->set_signal(11);
  story_.ledger["a"] = {1, 0};
  EXPECT_THAT(Judge(story_), Contains(HasSubstr("ended as OUTCOME_SIGNALED")));
  story_.plans["a"].may_end_as.insert(v1::OUTCOME_SIGNALED);
  EXPECT_THAT(Judge(story_), IsEmpty());
}

}  // namespace
}  // namespace brood::chaos
