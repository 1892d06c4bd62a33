// SPDX-License-Identifier: Apache-2.0
//
// Watched writes, and processes whose parent process has changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/agent/core/core_fixture.h"

namespace brood {
namespace {

using Payload = v1::Event;
using ::testing::ElementsAre;

class CoreWatchedTest : public CoreTest {
 protected:
  void SetUp() override {
    CoreTest::SetUp();
    StartParent();
    Submit("f", v1::MODE_FORK);
    Submit("t", v1::MODE_THREAD);
  }

  void Wrote(Instant at, const std::string& id, int64_t before, int64_t after, uint64_t writes,
             v1::Evidence evidence = v1::EVIDENCE_SEEN) {
    MemoryFact fact;
    fact.job_key = core_->Find(id)->key;
    fact.evidence = evidence;
    fact.memory.set_cell("x");
    fact.memory.set_writer(id);
    fact.memory.mutable_before()->set_int_value(before);
    fact.memory.mutable_after()->set_int_value(after);
    fact.memory.set_writes(writes);
    Batch batch;
    core_->OnMemory(at, fact, &batch);
    EXPECT_TRUE(batch.effects.empty());
    Take(&batch);
  }

  void Reparented(const std::string& id, int32_t new_ppid, const std::string& adopter) {
    const ReparentedFact fact{core_->Find(id)->key, new_ppid, adopter, v1::OBSERVER_AGENT};
    Batch batch;
    core_->OnReparented(now_, fact, &batch);
    Take(&batch);
  }

  std::vector<std::string> AskedAdopters() {
    std::vector<std::string> asked;
    for (const AdopterEffect& effect : Effects<AdopterEffect>()) {
      EXPECT_EQ(core_->Find(effect.job_key)->view.pid(), effect.pid);
      EXPECT_EQ(core_->Find(effect.job_key)->start_ns, effect.start_ns);
      asked.push_back(core_->Find(effect.job_key)->view.job_id());
    }
    return asked;
  }
};

TEST_F(CoreWatchedTest, AWriteIsAnEventOfItsWriterAtTheTimeOfTheWrite) {
  Started("t", 500);
  const Instant at = now_;
  Advance(1);
  Wrote(at, "t", 5, 7, 2);
  const v1::Event& event = events_.back();
  EXPECT_EQ(event.job_id(), "t");
  EXPECT_EQ(event.memory().writer(), "t");
  EXPECT_EQ(event.memory().before().int_value(), 5);
  EXPECT_EQ(event.memory().after().int_value(), 7);
  EXPECT_EQ(event.memory().writes(), 2u);
  EXPECT_EQ(event.observer(), v1::OBSERVER_JOB);
  EXPECT_EQ(event.unit().pid(), 500);
  EXPECT_EQ(event.mono().seconds() * 1'000'000'000 + event.mono().nanos(), at.boot.ns);
  EXPECT_EQ(records_.back().job_key, core_->Find("t")->key);
}

TEST_F(CoreWatchedTest, WhatNobodyCouldReadIsTheWritersWordOnly) {
  Started("f", 11);
  Wrote(now_, "f", 0, 1, 1, v1::EVIDENCE_REPORTED);
  Wrote(now_, "f", 1, 2, 1, v1::EVIDENCE_SEEN);
  ASSERT_GE(events_.size(), 2u);
  EXPECT_EQ(events_[events_.size() - 2].evidence(), v1::EVIDENCE_REPORTED);
  EXPECT_EQ(events_.back().evidence(), v1::EVIDENCE_SEEN);
}

TEST_F(CoreWatchedTest, EveryWriteIsSaidAlsoIfTheValueStaysTheSame) {
  Started("t", 500);
  Wrote(now_, "t", 5, 5, 1);
  Wrote(now_, "t", 5, 5, 1);
  EXPECT_THAT(Payloads("t"), ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarted,
                                         Payload::kMemory, Payload::kMemory));
}

TEST_F(CoreWatchedTest, AWriteBeforeTheStartOrAfterTheEndIsNotSaid) {
  Wrote(now_, "f", 0, 1, 1);
  Started("f", 11);
  Exited("f", 0);
  Wrote(now_, "f", 1, 2, 1);
  EXPECT_THAT(Payloads("f"), ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarted,
                                         Payload::kExited));
}

TEST_F(CoreWatchedTest, AWriteOfAJobThatNobodyKnowsIsNotSaid) {
  MemoryFact fact;
  fact.job_key = 4711;
  Batch batch;
  core_->OnMemory(now_, fact, &batch);
  EXPECT_TRUE(batch.empty());
}

TEST_F(CoreWatchedTest, WritesChangeNothingOfTheJobAndSurviveAReplay) {
  Started("t", 500);
  const std::string before = core_->Find("t")->view.SerializeAsString();
  Wrote(now_, "t", 1, 2, 1);
  EXPECT_EQ(core_->Find("t")->view.SerializeAsString(), before);
  Reboot();
  Wrote(now_, "t", 2, 3, 1);
  EXPECT_EQ(events_.back().memory().after().int_value(), 3);
}

TEST_F(CoreWatchedTest, AParentsEndAsksForTheAdopterOfItsProcessesAndOfNoThread) {
  Started("f", 11);
  Started("t", 500);
  ParentEnded();
  EXPECT_THAT(AskedAdopters(), ElementsAre("f"));
}

TEST_F(CoreWatchedTest, AnOrphanSaysWhoseChildItWasAndIs) {
  Started("f", 11);
  ParentEnded();
  Reparented("f", 400, "brood-supervis");
  const v1::Reparented& said = events_.back().reparented();
  EXPECT_EQ(said.old_ppid(), 500);
  EXPECT_EQ(said.new_ppid(), 400);
  EXPECT_EQ(said.adopter(), "brood-supervis");
  EXPECT_EQ(events_.back().observer(), v1::OBSERVER_AGENT);
  EXPECT_EQ(events_.back().evidence(), v1::EVIDENCE_SEEN);
}

TEST_F(CoreWatchedTest, AnAdopterThatNobodyCouldNameHasNoName) {
  Started("f", 11);
  ParentEnded();
  Reparented("f", 400, "");
  ASSERT_TRUE(events_.back().has_reparented());
  EXPECT_EQ(events_.back().reparented().adopter(), "");
}

TEST_F(CoreWatchedTest, WhoseParentProcessIsStillTheSameIsNotReparented) {
  Started("f", 11);
  Reparented("f", 500, "brood-parent");
  EXPECT_EQ(Payloads("f").back(), Payload::kStarted);
  // It was asked too early; the right answer is still taken.
  Reparented("f", 400, "brood-supervis");
  EXPECT_EQ(Payloads("f").back(), Payload::kReparented);
}

TEST_F(CoreWatchedTest, ItIsSaidOnceWhoeverAnswersAndInWhicheverLifeOfTheAgent) {
  Started("f", 11);
  ParentEnded();
  Reparented("f", 400, "brood-supervis");
  Reparented("f", 400, "brood-supervis");
  Reboot();
  Reparented("f", 400, "brood-supervis");
  EXPECT_THAT(Payloads("f"), ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarted,
                                         Payload::kReparented));
  // Nor does the next agent ask again.
  EXPECT_THAT(AskedAdopters(), ElementsAre("f"));
}

TEST_F(CoreWatchedTest, AnAgentThatMissedTheAnswerAsksAgain) {
  Started("f", 11);
  ParentEnded();
  effects_.clear();
  Reboot();
  EXPECT_THAT(AskedAdopters(), ElementsAre("f"));
}

TEST_F(CoreWatchedTest, AThreadAnUnstartedAndAnEndedJobAreNotReparented) {
  Reparented("f", 400, "brood-supervis");
  Started("f", 11);
  Started("t", 500);
  Reparented("t", 400, "brood-supervis");
  Exited("f", 0);
  Reparented("f", 400, "brood-supervis");
  for (const v1::Event& event : events_) EXPECT_FALSE(event.has_reparented());
}

TEST_F(CoreWatchedTest, WhoWaitedForAnOrphanIsItsAdopterAndThatIsSaidBeforeTheEnd) {
  Started("f", 11);
  ParentEnded();
  OrphanFact orphan;
  orphan.pid = 11;
  orphan.start_ns = now_.boot.ns;
  orphan.status.exit_code = 7;
  orphan.waiter_pid = 400;
  orphan.waiter = "brood-supervis";
  Batch batch;
  EXPECT_TRUE(core_->OnOrphanExited(now_, orphan, &batch));
  Take(&batch);
  EXPECT_THAT(Payloads("f"), ElementsAre(Payload::kReceived, Payload::kStarting, Payload::kStarted,
                                         Payload::kReparented, Payload::kExited));
  const v1::Event& said = events_[events_.size() - 2];
  EXPECT_EQ(said.observer(), v1::OBSERVER_SUPERVISOR);
  EXPECT_EQ(said.reparented().new_ppid(), 400);
}

TEST_F(CoreWatchedTest, AnOrphanIsKnownByATimeAtWhichItWasThereHoweverLateThatWasNoted) {
  Started("f", 11);
  ParentEnded();
  OrphanFact before;
  before.pid = 11;
  before.start_ns = now_.boot.ns - 2'000'000'000;
  before.end_ns = now_.boot.ns - 1;
  Batch batch;
  EXPECT_FALSE(core_->OnOrphanExited(now_, before, &batch)) << "it was gone when the job was there";
  OrphanFact orphan = before;
  orphan.end_ns = now_.boot.ns;
  orphan.status.exit_code = 7;
  EXPECT_TRUE(core_->OnOrphanExited(now_, orphan, &batch));
  EXPECT_EQ(core_->Find("f")->view.exit_code(), 7);
}

TEST_F(CoreWatchedTest, ASlotIsLearntForTheAttemptThatHasIt) {
  Started("f", 11);
  Reboot();
  const uint64_t key = core_->Find("f")->key;
  core_->OnSlot(parent_, key, 2, 5);
  EXPECT_EQ(core_->Find("f")->slot, UINT32_MAX) << "that is of another attempt";
  core_->OnSlot(parent_, key, 1, 6);
  EXPECT_EQ(core_->Find("f")->slot, 6u);
}

TEST_F(CoreTest, EndingAParentThatIsStartingHasAnAnswerOfItsOwn) {
  Batch batch;
  ASSERT_TRUE(core_->StartParent(now_, "q", {}, &batch).ok());
  const Result<ParentKey> ended = core_->EndParent(now_, "q", v1::PARENT_END_RETURN, &batch);
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(ended.error().reason, "PARENT_STARTING");
  EXPECT_EQ(core_->EndParent(now_, "nobody", v1::PARENT_END_RETURN, &batch).error().reason,
            "NO_SUCH_PARENT");
}

TEST_F(CoreWatchedTest, AnOrphanThatWasWaitedForBeforeItsParentEndsAfterIt) {
  Started("f", 11);
  OrphanFact orphan;
  orphan.pid = 11;
  orphan.start_ns = now_.boot.ns;
  orphan.status.exit_code = 7;
  orphan.waiter_pid = 400;
  Batch batch;
  EXPECT_TRUE(core_->OnOrphanExited(now_, orphan, &batch));
  Take(&batch);
  EXPECT_EQ(Payloads("f").back(), Payload::kStarted);
  ParentEnded();
  std::vector<Payload::PayloadCase> since;
  for (const v1::Event& event : events_) since.push_back(event.payload_case());
  EXPECT_THAT(std::vector(since.end() - 3, since.end()),
              ElementsAre(Payload::kParentEnded, Payload::kReparented, Payload::kExited));
  EXPECT_EQ(core_->Find("f")->view.exit_code(), 7);
}

}  // namespace
}  // namespace brood
