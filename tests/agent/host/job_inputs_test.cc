// SPDX-License-Identifier: Apache-2.0
#include "agent/host/job_inputs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <set>
#include <string>

namespace brood {
namespace {

using Taken = JobInputs::Taken;

class JobInputsTest : public ::testing::Test {
 protected:
  // Runs what has been posted; once.
  void RunLoop() {
    loop_->Post([this] { loop_->Stop(); });
    loop_->Run();
  }

  std::unique_ptr<EventLoop> loop_ = *EventLoop::Create();
  std::set<uint64_t> living_;
  JobInputs inputs_{loop_.get(), [this](uint64_t job_key) { return living_.count(job_key) > 0; }};
};

// What became of one chunk; `kept` says whether somebody still holds its answer.
struct Answer {
  std::optional<Taken> taken;
  std::weak_ptr<int> kept;
};

void Write(JobInputs* inputs, uint64_t job_key, Answer* answer) {
  const auto held = std::make_shared<int>();
  answer->kept = held;
  inputs->Write(job_key, "bytes", [answer, held](Taken taken) { answer->taken = taken; });
}

TEST_F(JobInputsTest, AChunkForAJobThatHasEndedIsAnsweredAndLeavesNothing) {
  Answer answer;
  Write(&inputs_, 7, &answer);
  inputs_.Close(7);
  RunLoop();
  EXPECT_EQ(answer.taken, Taken::kEnded);
  EXPECT_TRUE(answer.kept.expired());
}

TEST_F(JobInputsTest, AnInputThatComesAfterTheEndIsClosed) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd reader(ends[0]);
  inputs_.Attach(7, UniqueFd(ends[1]));
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0);
}

TEST_F(JobInputsTest, AChunkWaitsForTheInputOfAJobThatLives) {
  living_ = {7};
  Answer waits;
  Answer second;
  Write(&inputs_, 7, &waits);
  Write(&inputs_, 7, &second);
  RunLoop();
  EXPECT_FALSE(waits.taken);
  EXPECT_EQ(second.taken, Taken::kClosed) << "one at a time";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd reader(ends[0]);
  inputs_.Attach(7, UniqueFd(ends[1]));
  EXPECT_EQ(waits.taken, Taken::kYes);
  char bytes[8] = {};
  EXPECT_EQ(::read(reader.get(), bytes, sizeof(bytes)), 5);
  living_.clear();
  inputs_.Forget(7);
  EXPECT_EQ(::read(reader.get(), bytes, sizeof(bytes)), 0);
}

TEST_F(JobInputsTest, AChunkThatWaitsWhenItsJobEndsIsAnswered) {
  living_ = {7};
  Answer answer;
  Write(&inputs_, 7, &answer);
  RunLoop();
  EXPECT_FALSE(answer.taken);
  living_.clear();
  inputs_.Forget(7);
  EXPECT_EQ(answer.taken, Taken::kClosed);
  EXPECT_TRUE(answer.kept.expired());
}

}  // namespace
}  // namespace brood
