// SPDX-License-Identifier: Apache-2.0
//
// Durable jobs, and a journal in trouble.
#include <gmock/gmock.h>

#include "tests/agent/core/core_fixture.h"

namespace brood {
namespace {

using ::testing::ElementsAre;
using v1::Event;

class CoreDiskTest : public CoreTest {
 protected:
  v1::SubmittedJob SubmitDurable(const std::string& id) {
    v1::JobSubmission job;
    job.set_job_id(id);
    job.mutable_spec()->mutable_command()->add_argv("true");
    job.mutable_spec()->set_durable(true);
    Batch batch;
    uint64_t key = 0;
    v1::SubmittedJob answer = core_->Submit(now_, job, 7, &key, &batch);
    Take(&batch);
    return answer;
  }
  // All that was written is on the disk.
  void Synced() { Synced(records_.back().cursor); }
  void Synced(uint64_t cursor) {
    Batch batch;
    core_->OnSynced(cursor, &batch);
    Take(&batch);
  }
  void Trouble(const Status& trouble) {
    Batch batch;
    core_->OnJournalTrouble(now_, trouble, &batch);
    Take(&batch);
  }
  static Error Full() {
    return Error{ErrorCode::kResourceExhausted, "JOURNAL_FULL", "the disk of '/j' is full", ""};
  }
  std::vector<uint64_t> Sent() {
    std::vector<uint64_t> keys;
    for (const StartJobEffect& start : Effects<StartJobEffect>())
      keys.push_back(start.job.job_key());
    return keys;
  }
};

TEST_F(CoreDiskTest, ADurableJobIsSentOnceItsAttemptIsOnTheDisk) {
  StartParent();
  SubmitDurable("a");
  EXPECT_TRUE(sync_wanted_);
  EXPECT_THAT(Payloads("a"), ElementsAre(Event::kReceived, Event::kStarting));
  EXPECT_TRUE(Effects<StartJobEffect>().empty()) << "a loss of power would start it twice";
  Synced(records_.back().cursor - 1);
  EXPECT_TRUE(Effects<StartJobEffect>().empty()) << "only its receipt is there";
  Synced();
  EXPECT_THAT(Sent(), ElementsAre(core_->Find("a")->key));
  Synced();
  EXPECT_EQ(Sent().size(), 1u);
}

TEST_F(CoreDiskTest, AnOrdinaryJobDoesNotWaitForTheDisk) {
  StartParent();
  SubmitDurable("a");
  sync_wanted_ = false;
  Submit("b");
  EXPECT_FALSE(sync_wanted_);
  EXPECT_THAT(Sent(), ElementsAre(core_->Find("b")->key));
}

TEST_F(CoreDiskTest, ADurableJobThatWaitedForASlotWaitsForTheDiskToo) {
  Boot(1, 1, 3);
  StartParent();
  Submit("first");
  SubmitDurable("a");
  Synced();
  Started("first", 900);
  sync_wanted_ = false;
  Exited("first", 0);
  EXPECT_TRUE(sync_wanted_);
  EXPECT_EQ(Sent().size(), 1u);
  Synced();
  EXPECT_EQ(Sent().size(), 2u);
}

TEST_F(CoreDiskTest, ADurableJobThatIsCancelledBeforeItWasSentNeverIs) {
  StartParent();
  SubmitDurable("a");
  Cancel("a", 1);
  EXPECT_EQ(core_->Find("a")->view.outcome(), v1::OUTCOME_CANCELLED);
  Synced();
  EXPECT_TRUE(Effects<StartJobEffect>().empty());
  v1::Host host;
  core_->ViewHost(&host);
  EXPECT_EQ(host.processes(), 0u) << "its slot is free again";
}

TEST_F(CoreDiskTest, ADurableJobWhoseParentEndsBeforeItIsSentGoesToTheNext) {
  StartParent();
  SubmitDurable("a");
  ParentEnded();
  Synced();
  EXPECT_TRUE(Effects<StartJobEffect>().empty());
  const ParentKey next{kDefaultParent, 2};
  Batch batch;
  core_->OnParentReady(now_, next, {}, {}, &batch);
  Take(&batch);
  Synced();
  ASSERT_EQ(Effects<StartJobEffect>().size(), 1u);
  EXPECT_EQ(Effects<StartJobEffect>()[0].parent, next);
}

TEST_F(CoreDiskTest, AnAgentThatReturnsAsksForADurableJobAsForAnyOther) {
  StartParent();
  SubmitDurable("a");
  Reboot();
  Batch batch;
  core_->OnParentReady(now_, parent_, {}, {}, &batch);
  Take(&batch);
  ASSERT_EQ(Effects<AskKnownEffect>().size(), 1u);
  core_->OnUnknownToParent(now_, parent_, {core_->Find("a")->key}, &batch);
  Take(&batch);
  EXPECT_TRUE(Effects<StartJobEffect>().empty()) << "the second attempt is not on the disk";
  effects_.clear();
  core_->OnParentReady(now_, parent_, {}, {}, &batch);
  Take(&batch);
  EXPECT_TRUE(Effects<AskKnownEffect>().empty()) << "it is known not to have been sent";
  Synced();
  EXPECT_EQ(Effects<StartJobEffect>().size(), 1u);
}

TEST_F(CoreDiskTest, SubmittedAgainItsAnswerWaitsForTheDiskAgain) {
  StartParent();
  SubmitDurable("a");
  sync_wanted_ = false;
  EXPECT_TRUE(SubmitDurable("a").already_existed());
  EXPECT_TRUE(sync_wanted_);
}

TEST_F(CoreDiskTest, AnAttemptOfAnotherBootIsNotStartedAgain) {
  StartParent();
  SubmitDurable("sent");
  SubmitDurable("also sent");
  SubmitDurable("waits");
  Synced();
  boot_id_ = "another";
  Reboot();
  Batch start;
  ASSERT_EQ(core_->StartParent(now_, kDefaultParent, {}, &start)->incarnation, 2u);
  Take(&start);
  for (const char* const id : {"sent", "also sent"}) {
    EXPECT_EQ(core_->Find(id)->view.outcome(), v1::OUTCOME_LOST) << id;
    EXPECT_TRUE(std::any_of(events_.begin(), events_.end(), [&](const Event& event) {
      return event.job_id() == id && event.lost().may_have_run();
    })) << id;
  }
  effects_.clear();
  Batch batch;
  core_->OnParentReady(now_, ParentKey{kDefaultParent, 2}, {}, {}, &batch);
  Take(&batch);
  Synced();
  EXPECT_THAT(Sent(), ElementsAre(core_->Find("waits")->key)) << "what never left the agent is";
}

TEST_F(CoreDiskTest, WhileTheJournalIsInTroubleNothingIsTakenInOrStartedAndJobsThatRunGoOn) {
  Boot(1, 1, 3);
  StartParent();
  Submit("runs");
  Started("runs", 900);
  Submit("waits");
  Trouble(Full());
  const v1::SubmittedJob refused = Submit("new");
  EXPECT_EQ(refused.error_code(), static_cast<int>(ErrorCode::kResourceExhausted));
  EXPECT_EQ(refused.error_reason(), "JOURNAL_FULL");
  EXPECT_NE(refused.error_message().find("the disk of '/j' is full"), std::string::npos);
  EXPECT_EQ(core_->Find("new"), nullptr);
  EXPECT_EQ(Submit("waits").error_reason(), "JOURNAL_FULL") << "nor is it said that it is kept";
  Batch batch;
  EXPECT_FALSE(core_->StartParent(now_, "other", {}, &batch).ok());
  v1::Host host;
  core_->ViewHost(&host);
  EXPECT_EQ(host.journal_problem(), "the disk of '/j' is full");

  Exited("runs", 3);
  EXPECT_EQ(core_->Find("runs")->view.exit_code(), 3);
  EXPECT_EQ(core_->Find("waits")->view.state(), v1::JOB_STATE_QUEUED) << "a start needs room too";
  Trouble(Ok());
  EXPECT_EQ(core_->Find("waits")->view.state(), v1::JOB_STATE_STARTING);
  EXPECT_EQ(Submit("new").error_reason(), "");
  host.Clear();
  core_->ViewHost(&host);
  EXPECT_EQ(host.journal_problem(), "");
}

TEST_F(CoreDiskTest, WhileTheJournalIsInTroubleAJobCanBeCancelled) {
  Boot(1, 1, 3);
  StartParent();
  Submit("runs");
  Started("runs", 900);
  Submit("waits");
  Trouble(Full());
  Cancel("waits", 1);
  EXPECT_EQ(core_->Find("waits")->view.outcome(), v1::OUTCOME_CANCELLED);
  Cancel("runs", 1);
  EXPECT_EQ(Effects<SignalJobEffect>().size(), 1u);
}

TEST_F(CoreDiskTest, AParentThatEndsDuringTheTroubleIsStartedAfterIt) {
  Boot(1, 1, 3);
  StartParent();
  Submit("sent");
  Submit("waits");
  Trouble(Full());
  effects_.clear();
  ParentEnded();
  EXPECT_TRUE(Effects<StartParentEffect>().empty());
  EXPECT_EQ(core_->Find("waits")->view.state(), v1::JOB_STATE_QUEUED) << "it is not failed";
  Trouble(Ok());
  EXPECT_EQ(Effects<StartParentEffect>().size(), 1u);
}

}  // namespace
}  // namespace brood
