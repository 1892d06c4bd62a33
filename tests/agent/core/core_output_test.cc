// SPDX-License-Identifier: Apache-2.0
//
// What the core makes of jobs' output: events, ends, and how much of it all is kept.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/agent/core/core_fixture.h"

namespace brood {
namespace {

using Payload = v1::Event;
constexpr uint64_t kKiB = 1 << 10;

class CoreOutputTest : public CoreTest {
 protected:
  void SetUp() override {
    CoreTest::SetUp();
    StartParent();
  }
  void SubmitWith(const std::string& id, v1::OutputOverflow overflow, uint64_t most) {
    v1::JobSubmission job;
    job.set_job_id(id);
    job.mutable_spec()->mutable_command()->add_argv("true");
    job.mutable_spec()->mutable_output()->set_overflow(overflow);
    job.mutable_spec()->mutable_output()->set_stream_bytes_max(most);
    Batch batch;
    uint64_t key = 0;
    core_->Submit(now_, job, 7, &key, &batch);
    Take(&batch);
  }
  void Output(const std::string& id, uint64_t end) {
    Batch batch;
    core_->OnOutput(now_, core_->Find(id)->key, v1::STREAM_STDOUT, 0, end, &batch);
    Take(&batch);
  }
  void OverLimit(const std::string& id) {
    Batch batch;
    core_->OnOutputLimit(now_, core_->Find(id)->key, v1::STREAM_STDOUT, &batch);
    Take(&batch);
  }
  void ClosedAt(const std::string& id, uint64_t end) {
    v1::OutputClosed closed;
    closed.set_stdout_bytes(end);
    Batch batch;
    core_->OnOutputClosed(now_, core_->Find(id)->key, closed, &batch);
    Take(&batch);
  }
  // A job that wrote so much and is over.
  void Write(const std::string& id, uint64_t bytes) {
    Submit(id);
    Started(id, 10);
    Output(id, bytes);
    Exited(id, 0);
    ClosedAt(id, bytes);
  }
  std::vector<uint64_t> Freed() {
    std::vector<uint64_t> keys;
    for (const ForgetJobEffect& effect : Effects<ForgetJobEffect>()) keys.push_back(effect.job_key);
    return keys;
  }
};

TEST_F(CoreOutputTest, WhatARingHasLostIsOneEvent) {
  SubmitWith("ring", v1::OUTPUT_OVERFLOW_RING, 128 * kKiB);
  Started("ring", 10);
  Output("ring", 1000 * kKiB);
  std::vector<uint64_t> lengths;
  for (const v1::Event& event : events_) {
    if (event.has_output()) lengths.push_back(event.output().length());
  }
  EXPECT_EQ(lengths, (std::vector<uint64_t>{872 * kKiB, 64 * kKiB, 64 * kKiB}));
}

TEST_F(CoreOutputTest, AJobPastItsLimitIsToldOfAndStoppedOnce) {
  SubmitWith("loud", v1::OUTPUT_OVERFLOW_END, 64 * kKiB);
  Started("loud", 10);
  OverLimit("loud");
  OverLimit("loud");
  const std::vector<SignalJobEffect> signals = Effects<SignalJobEffect>();
  ASSERT_EQ(signals.size(), 1u);
  EXPECT_EQ(signals[0].signal, SIGTERM);
  EXPECT_TRUE(signals[0].whole_group);
  EXPECT_EQ(events_.back().output_limit().limit(), 64 * kKiB);
  ExitedFact fact;
  fact.job_key = core_->Find("loud")->key;
  fact.status.signal = SIGTERM;
  Batch batch;
  core_->OnExited(now_, fact, &batch);
  Take(&batch);
  EXPECT_EQ(events_.back().exited().cause(), v1::END_CAUSE_OUTPUT_LIMIT);
  EXPECT_EQ(core_->Find("loud")->view.outcome(), v1::OUTCOME_SIGNALED);
  EXPECT_NE(core_->Find("loud")->view.message(), "");
  // With all below it.
  ASSERT_EQ(Effects<TreeEffect>().size(), 1u);
  EXPECT_TRUE(Effects<TreeEffect>()[0].kill);
}

TEST_F(CoreOutputTest, WhatWentPastItsLimitBeforeItsStartWasNotedIsStoppedThen) {
  SubmitWith("loud", v1::OUTPUT_OVERFLOW_END, 64 * kKiB);
  OverLimit("loud");
  EXPECT_TRUE(Effects<SignalJobEffect>().empty());
  Started("loud", 10);
  EXPECT_EQ(Effects<SignalJobEffect>().size(), 1u);
  EXPECT_EQ(Payloads("loud").back(), Payload::kOutputLimit);
}

TEST_F(CoreOutputTest, WhoeverWasCancelledBeforeEndsForThat) {
  SubmitWith("loud", v1::OUTPUT_OVERFLOW_END, 64 * kKiB);
  Started("loud", 10);
  Cancel("loud", 5);
  OverLimit("loud");
  EXPECT_EQ(Payloads("loud").back(), Payload::kCancelRequested);
}

TEST_F(CoreOutputTest, AnAgentThatReturnsGoesOnEndingIt) {
  SubmitWith("loud", v1::OUTPUT_OVERFLOW_END, 64 * kKiB);
  Started("loud", 10);
  OverLimit("loud");
  Reboot();
  EXPECT_EQ(Effects<SignalJobEffect>().size(), 2u);
  Exited("loud", 3);
  EXPECT_EQ(events_.back().exited().cause(), v1::END_CAUSE_OUTPUT_LIMIT);
}

TEST_F(CoreOutputTest, TheOldestOutputIsFreedFirstAndTheNewestNever) {
  Write("one", 400 * kKiB);
  Write("two", 400 * kKiB);
  EXPECT_EQ(Freed(), std::vector<uint64_t>{});
  Write("three", 400 * kKiB);
  EXPECT_EQ(Freed(), std::vector<uint64_t>{core_->Find("one")->key});
  Write("four", 9000 * kKiB);
  EXPECT_EQ(Freed().size(), 3u);
  // The same again, by who was not there.
  effects_.clear();
  Reboot();
  EXPECT_EQ(Freed().size(), 3u);
  // It is still known how much there was.
  EXPECT_EQ(core_->Find("one")->view.stdout_bytes(), 400 * kKiB);
}

TEST_F(CoreOutputTest, WhatRunsTakesTheRoomOfWhatHasEnded) {
  Write("one", 400 * kKiB);
  Write("two", 400 * kKiB);
  Submit("runs");
  Started("runs", 10);
  Output("runs", 300 * kKiB);
  EXPECT_EQ(Freed(), std::vector<uint64_t>{core_->Find("one")->key});
}

}  // namespace
}  // namespace brood
