// SPDX-License-Identifier: Apache-2.0
//
// How an agent's streams begin where others broke, and how it ends those that nobody takes.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <fstream>
#include <iterator>
#include <map>

#include "common/job/event_order.h"
#include "common/rpc/greeting.h"
#include "common/rpc/grpc_status.h"
#include "tests/testing/agent_process.h"

namespace brood::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using RunCall = grpc::ClientReaderWriter<v1::RunJobsRequest, v1::RunJobsResponse>;

std::unique_ptr<grpc::ClientContext> Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  return context;
}

// Waits until the agent's log says so.
bool AwaitLog(const AgentProcess& agent, const std::string& text) {
  for (int looks = 0; looks < 1'000; ++looks) {
    std::ifstream file(agent.directory() + "/agent.log");
    const std::string log((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (log.find(text) != std::string::npos) return true;
    // A log cannot be waited for; the look is what is waited between.
    ::poll(nullptr, 0, 20);
  }
  return false;
}

// Reads the rest of a call; its events' cursors, and how it ended.
struct Rest {
  std::vector<uint64_t> cursors;
  std::string token;
  size_t responses = 0;
  grpc::Status status;
};
template <typename Response, typename Call>
Rest ReadRest(Call* call) {
  Rest rest;
  for (Response response; call->Read(&response); ++rest.responses) {
    for (const v1::Event& event : response.events()) rest.cursors.push_back(event.cursor());
    rest.token = response.resume_token();
  }
  rest.status = call->Finish();
  return rest;
}

// 6 MiB of output: more than what the transport takes in for a client that does not read.
void MakeOutput(AgentProcess* agent) {
  agent->Run({CommandJob("much", {"head", "-c", "6000000", "/dev/zero"})}, false);
}

TEST(StreamEndsTest, AClientThatTakesNothingIsCutOffAndGoesOnExactlyThere) {
  AgentProcess agent({"--reader-patience", "300ms"});
  MakeOutput(&agent);
  v1::WatchEventsRequest request;
  request.set_include_output(true);
  const auto all_context = Context();
  const auto all_call = agent.jobs().WatchEvents(all_context.get(), request);
  const Rest all = ReadRest<v1::WatchEventsResponse>(all_call.get());
  ASSERT_TRUE(all.status.ok());

  const auto slow_context = Context();
  const auto slow_call = agent.jobs().WatchEvents(slow_context.get(), request);
  slow_call->WaitForInitialMetadata();
  EXPECT_EQ(slow_context->GetServerInitialMetadata().count(kGreetingKey), 1u);
  ASSERT_TRUE(AwaitLog(agent, "a client took nothing of its stream for 300 ms"));
  Rest slow = ReadRest<v1::WatchEventsResponse>(slow_call.get());
  if (slow.status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    EXPECT_EQ(FromGrpcStatus(slow.status).reason, "SLOW_READER");
    EXPECT_EQ(MetadataOf(slow.status, "resume_token"), slow.token);
  } else {
    // It did not even take the status before the call was cancelled.
    EXPECT_EQ(slow.status.error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_LT(slow.cursors.size(), all.cursors.size());

  request.set_resume_token(slow.token);
  const auto next_context = Context();
  const auto next_call = agent.jobs().WatchEvents(next_context.get(), request);
  const Rest next = ReadRest<v1::WatchEventsResponse>(next_call.get());
  slow.cursors.insert(slow.cursors.end(), next.cursors.begin(), next.cursors.end());
  EXPECT_EQ(slow.cursors, all.cursors);
}

TEST(StreamEndsTest, AReaderOfOutputThatTakesNothingIsToldItsOffset) {
  AgentProcess agent({"--reader-patience", "300ms"});
  MakeOutput(&agent);
  v1::ReadOutputRequest request;
  request.set_job_id("much");
  request.set_stream(v1::STREAM_STDOUT);
  const auto context = Context();
  const auto call = agent.jobs().ReadOutput(context.get(), request);
  ASSERT_TRUE(AwaitLog(agent, "a client took nothing of its stream"));
  uint64_t offset = 0;
  for (v1::ReadOutputResponse response; call->Read(&response);) {
    EXPECT_EQ(response.offset(), offset);
    offset += response.bytes().size();
  }
  const grpc::Status status = call->Finish();
  EXPECT_FALSE(status.ok());
  EXPECT_LT(offset, 6'000'000u);
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    EXPECT_EQ(MetadataOf(status, "offset"), std::to_string(offset));
  }
}

v1::RunJobsRequest Follow(const std::vector<std::string>& ids, const std::string& token) {
  v1::RunJobsRequest request;
  for (const std::string& id : ids) request.add_follow_job_ids(id);
  request.set_resume_token(token);
  return request;
}

TEST(StreamEndsTest, ARunGoesOnWithTheJobsOfACallThatBroke) {
  AgentProcess agent;
  const std::string gate = agent.directory() + "/gate";
  v1::RunJobsRequest first;
  for (const char* const id : {"a", "b"}) {
    *first.add_jobs() =
        CommandJob(id, {"sh", "-c", "while [ ! -e " + gate + " ]; do sleep 0.02; done"});
  }
  EventOrder order;
  std::string token;
  {
    const auto context = Context();
    const auto call = agent.jobs().RunJobs(context.get());
    call->Write(first);
    v1::RunJobsResponse response;
    int started = 0;
    while (started < 2 && call->Read(&response)) {
      EXPECT_NE(response.resume_token(), "");
      token = response.resume_token();
      for (const v1::Event& event : response.events()) {
        EXPECT_FALSE(order.Check(event));
        started += event.has_started() ? 1 : 0;
      }
    }
    context->TryCancel();
    (void)call->Finish();
  }
  const auto context = Context();
  const auto call = agent.jobs().RunJobs(context.get());
  call->Write(Follow({"a"}, token));
  call->Write(Follow({"b"}, token));
  v1::RunJobsRequest more;
  *more.add_jobs() = CommandJob("c", {"touch", gate});
  call->Write(more);
  call->WritesDone();
  std::map<std::string, int> cleaned;
  for (v1::RunJobsResponse response; call->Read(&response);) {
    for (const v1::Event& event : response.events()) {
      const Status wrong = order.Check(event);
      EXPECT_FALSE(wrong) << wrong->message;
      if (event.has_cleaned()) ++cleaned[event.job_id()];
    }
  }
  EXPECT_TRUE(call->Finish().ok());
  EXPECT_FALSE(order.Finish());
  EXPECT_THAT(cleaned, ElementsAre(std::pair<const std::string, int>("a", 1),
                                   std::pair<const std::string, int>("b", 1),
                                   std::pair<const std::string, int>("c", 1)));
}

TEST(StreamEndsTest, ARunThatCannotGoOnSaysWhy) {
  AgentProcess agent;
  agent.Run({CommandJob("a", {"true"})});
  const auto end_of = [&agent](const std::vector<v1::RunJobsRequest>& requests) {
    const auto context = Context();
    const auto call = agent.jobs().RunJobs(context.get());
    for (const v1::RunJobsRequest& request : requests) call->Write(request);
    call->WritesDone();
    return ReadRest<v1::RunJobsResponse>(call.get());
  };
  EXPECT_EQ(end_of({Follow({"nobody"}, "")}).status.error_code(), grpc::StatusCode::NOT_FOUND);
  const Rest whole = end_of({Follow({"a"}, "")});
  EXPECT_TRUE(whole.status.ok());
  EXPECT_GE(whole.cursors.size(), 5u);
  const Rest nothing = end_of({Follow({"a"}, whole.token)});
  EXPECT_TRUE(nothing.status.ok()) << nothing.status.error_message();
  EXPECT_THAT(nothing.cursors, ElementsAre());
  EXPECT_EQ(end_of({Follow({"a"}, "nonsense")}).status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  const std::string past = whole.token.substr(0, whole.token.rfind('.') + 1) + "999999";
  EXPECT_EQ(end_of({Follow({"a"}, past)}).status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  const Rest late = end_of({v1::RunJobsRequest(), Follow({"a"}, "")});
  EXPECT_EQ(late.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(late.status.error_message(), HasSubstr("follow_job_ids"));
  v1::RunJobsRequest both = Follow({"a"}, "");
  *both.add_jobs() = CommandJob("b", {"true"});
  EXPECT_EQ(end_of({both}).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(StreamEndsTest, AJobThatIsSubmittedTwiceInOneCallIsToldOnce) {
  AgentProcess agent;
  agent.Run({CommandJob("old", {"true"})});
  const auto context = Context();
  const auto call = agent.jobs().RunJobs(context.get());
  v1::RunJobsRequest request;
  for (const char* const id : {"old", "new", "old", "new"})
    *request.add_jobs() = CommandJob(id, {"true"});
  call->Write(request);
  call->WritesDone();
  EventOrder order;
  std::vector<bool> existed;
  for (v1::RunJobsResponse response; call->Read(&response);) {
    for (const v1::SubmittedJob& job : response.accepted())
      existed.push_back(job.already_existed());
    for (const v1::Event& event : response.events()) {
      const Status wrong = order.Check(event);
      EXPECT_FALSE(wrong) << wrong->message;
    }
  }
  EXPECT_TRUE(call->Finish().ok());
  EXPECT_FALSE(order.Finish());
  EXPECT_THAT(existed, ElementsAre(true, false, true, true));
}

TEST(StreamEndsTest, WhoWritesInputIsToldWhenTheJobHasEnded) {
  AgentProcess agent;
  v1::SubmitJobsRequest submit;
  *submit.add_jobs() = CommandJob("j", {"head", "-c", "3"});
  submit.mutable_jobs(0)->mutable_spec()->set_stdin_stream(true);
  v1::SubmitJobsResponse submitted;
  ASSERT_TRUE(agent.jobs().SubmitJobs(Context().get(), submit, &submitted).ok());
  const auto context = Context();
  v1::WriteInputResponse response;
  const auto call = agent.jobs().WriteInput(context.get(), &response);
  v1::WriteInputRequest request;
  request.set_job_id("j");
  request.set_bytes("abc");
  ASSERT_TRUE(call->Write(request));
  // The job ends by itself; the client neither writes more nor closes its side.
  const grpc::Status status = call->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.written_bytes(), 3u);
}

}  // namespace
}  // namespace brood::testing
