// SPDX-License-Identifier: Apache-2.0
//
// Durable jobs among others: they wait for the disk, and nothing of anybody is lost by that.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>

#include "common/job/event_order.h"
#include "tests/testing/agent_process.h"

namespace brood {
namespace {

using testing::AgentProcess;
using testing::CommandJob;

v1::JobSubmission Durable(v1::JobSubmission job) {
  job.mutable_spec()->set_durable(true);
  return job;
}

TEST(DurableJobsTest, RunAsOthersDo) {
  AgentProcess agent;
  const auto events = agent.Run({Durable(CommandJob("d", {"sh", "-c", "echo out; exit 3"}))});
  EXPECT_EQ(testing::OutputOf(events, v1::STREAM_STDOUT), "out\n");
  EXPECT_EQ(testing::FindEvent(events, v1::Event::kExited).exited().exit_code(), 3);
  EXPECT_TRUE(testing::FindEvent(events, v1::Event::kReceived).received().spec().durable());
}

// Those that wait for no disk are ready first.
TEST(DurableJobsTest, OnOneStreamWithOthersEachIsAnsweredInItsTurnAndToldWhole) {
  constexpr int kRequests = 200;
  AgentProcess agent;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  const auto stream = agent.jobs().RunJobs(&context);
  for (int i = 0; i < kRequests; ++i) {
    v1::RunJobsRequest request;
    v1::JobSubmission job = CommandJob("job" + std::to_string(i), {"true"});
    *request.add_jobs() = i % 2 == 0 ? Durable(job) : job;
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  std::set<std::string> answered;
  std::set<std::string> cleaned;
  EventOrder order;
  v1::RunJobsResponse response;
  while (stream->Read(&response)) {
    for (const v1::SubmittedJob& answer : response.accepted()) {
      EXPECT_EQ(answer.error_code(), 0) << answer.error_message();
      EXPECT_EQ(answer.job_id(), "job" + std::to_string(answered.size()));
      answered.insert(answer.job_id());
    }
    for (const v1::Event& event : response.events()) {
      EXPECT_TRUE(answered.count(event.job_id())) << "acknowledged, then shown";
      const Status broken = order.Check(event);
      EXPECT_FALSE(broken) << broken->message;
      if (event.has_cleaned()) cleaned.insert(event.job_id());
    }
  }
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(answered.size(), static_cast<size_t>(kRequests));
  EXPECT_EQ(cleaned.size(), static_cast<size_t>(kRequests));
}

TEST(DurableJobsTest, ThatWaitedAreStartedByTheNextAgent) {
  AgentProcess agent({"--slots", "1"});
  agent.Submit({CommandJob("first", {"sleep", "1000"}), Durable(CommandJob("waits", {"true"}))});
  agent.KillAndRestart();
  EXPECT_EQ(agent.GetJob("waits").state(), v1::JOB_STATE_QUEUED);
  agent.Cancel({"first"});
  agent.WaitFor("waits", [](const v1::Event& event) { return event.has_exited(); });
  EXPECT_EQ(agent.GetJob("waits").attempt(), 1u);
}

}  // namespace
}  // namespace brood
