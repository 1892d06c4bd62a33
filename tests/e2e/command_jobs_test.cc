// SPDX-License-Identifier: Apache-2.0
//
// Commands, from a gRPC client's side, through a real agent, supervisor and parent.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/testing/agent_process.h"

namespace brood::testing {
namespace {

using Payload = v1::Event;

std::vector<int> Payloads(const std::vector<v1::Event>& events) {
  std::vector<int> payloads;
  for (const v1::Event& event : events) payloads.push_back(event.payload_case());
  return payloads;
}

TEST(CommandJobsTest, TellsTheWholeLifeInOrder) {
  AgentProcess agent;
  const std::vector<v1::Event> events =
      agent.Run({CommandJob("hello", {"sh", "-c", "echo out; exit 3"})});
  // Output may be marked before or after the end: the pipe is read at its own pace.
  EXPECT_THAT(
      Payloads(events),
      ::testing::AnyOf(::testing::ElementsAre(Payload::kReceived, Payload::kStarting,
                                              Payload::kStarted, Payload::kOutput, Payload::kExited,
                                              Payload::kOutputClosed, Payload::kCleaned),
                       ::testing::ElementsAre(Payload::kReceived, Payload::kStarting,
                                              Payload::kStarted, Payload::kExited, Payload::kOutput,
                                              Payload::kOutputClosed, Payload::kCleaned)));
  EXPECT_EQ(events.front().payload_case(), Payload::kReceived);
  EXPECT_EQ(events.back().payload_case(), Payload::kCleaned);
  EXPECT_EQ(OutputOf(events, v1::STREAM_STDOUT), "out\n");
  const v1::Event exited = FindEvent(events, Payload::kExited);
  EXPECT_EQ(exited.exited().exit_code(), 3);
  EXPECT_EQ(exited.observer(), v1::OBSERVER_PARENT);
  EXPECT_EQ(exited.evidence(), v1::EVIDENCE_SEEN);
  const v1::Job job = agent.GetJob("hello");
  EXPECT_EQ(job.state(), v1::JOB_STATE_ENDED);
  EXPECT_EQ(job.outcome(), v1::OUTCOME_EXITED);
  EXPECT_EQ(job.exit_code(), 3);
  EXPECT_GT(job.pid(), 0);
  EXPECT_EQ(job.pid(), job.tid());
}

TEST(CommandJobsTest, KeepsTheTwoStreamsApartAndTheirBytesWhole) {
  AgentProcess agent;
  const std::vector<v1::Event> events = agent.Run(
      {CommandJob("bytes", {"sh", "-c", "printf 'a\\000b\\377'; printf 'no newline' >&2"})});
  EXPECT_EQ(OutputOf(events, v1::STREAM_STDOUT), std::string("a\0b\xff", 4));
  EXPECT_EQ(OutputOf(events, v1::STREAM_STDERR), "no newline");
}

TEST(CommandJobsTest, CarriesAFewMebibytesOfOutputWhole) {
  AgentProcess agent;
  const std::vector<v1::Event> events =
      agent.Run({CommandJob("big", {"sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x"})});
  EXPECT_EQ(OutputOf(events, v1::STREAM_STDOUT), std::string(5'000'000, 'x'));
}

TEST(CommandJobsTest, ASignalIsTheEndItWas) {
  AgentProcess agent;
  agent.Run({CommandJob("killed", {"sh", "-c", "kill -KILL $$"})});
  const v1::Job job = agent.GetJob("killed");
  EXPECT_EQ(job.outcome(), v1::OUTCOME_SIGNALED);
  EXPECT_EQ(job.signal(), SIGKILL);
  EXPECT_FALSE(job.has_exit_code());
}

TEST(CommandJobsTest, NamesTheStepAndErrnoOfAFailedStart) {
  AgentProcess agent;
  v1::JobSubmission nowhere = CommandJob("nowhere", {"true"});
  nowhere.mutable_spec()->set_working_directory("/no/such/folder");
  const std::vector<v1::Event> events = agent.Run(
      {CommandJob("missing", {"no-such-program"}), nowhere, CommandJob("data", {"/etc/passwd"})});
  std::vector<std::string> failures;
  for (const v1::Event& event : events) {
    if (!event.has_failed_to_start()) continue;
    failures.push_back(event.job_id() + " " + event.failed_to_start().step() + " " +
                       std::to_string(event.failed_to_start().error_number()));
  }
  EXPECT_THAT(failures,
              ::testing::UnorderedElementsAre("missing exec 2", "nowhere chdir 2", "data exec 13"));
}

TEST(CommandJobsTest, GivesTheJobItsEnvironmentDirectoryAndMask) {
  AgentProcess agent;
  v1::JobSubmission job =
      CommandJob("env", {"/bin/sh", "-c", "echo $A-$HOME-$BROOD_JOB_ID-$BROOD_MODE; pwd; umask"});
  job.mutable_spec()->mutable_environment()->set_clear(true);
  auto* const variable = job.mutable_spec()->mutable_environment()->add_set();
  variable->set_name("A");
  variable->set_value("1 2");
  job.mutable_spec()->set_working_directory("/usr/bin");
  job.mutable_spec()->set_umask(027);
  EXPECT_EQ(OutputOf(agent.Run({job}), v1::STREAM_STDOUT), "1 2--env-fork\n/usr/bin\n0027\n");
}

TEST(CommandJobsTest, LeavesTheJobNoDescriptorButThree) {
  AgentProcess agent;
  EXPECT_EQ(OutputOf(agent.Run({CommandJob("fds", {"ls", "/proc/self/fd"})}), v1::STREAM_STDOUT),
            "0\n1\n2\n3\n");
}

TEST(CommandJobsTest, ATimeOutEndsTheJobAndIsSaid) {
  AgentProcess agent;
  v1::JobSubmission job = CommandJob("slow", {"sleep", "1000"});
  job.mutable_spec()->mutable_timeout()->set_nanos(50'000'000);
  const std::vector<v1::Event> events = agent.Run({job});
  EXPECT_TRUE(FindEvent(events, Payload::kTimedOut).has_timed_out());
  EXPECT_EQ(agent.GetJob("slow").outcome(), v1::OUTCOME_TIMED_OUT);
}

TEST(CommandJobsTest, ACancelEndsTheWholeTreeThatIgnoresSigterm) {
  AgentProcess agent;
  v1::JobSubmission job = CommandJob(
      "stubborn",
      {"sh", "-c", "trap '' TERM; setsid sleep 1000 & sleep 1000 & echo ready; wait; wait"});
  agent.Submit({job});
  agent.WaitFor("stubborn", [](const v1::Event& event) { return event.has_output(); });
  agent.Cancel({"stubborn"}, std::chrono::milliseconds(100));
  agent.WaitFor("stubborn", [](const v1::Event& event) { return event.has_cleaned(); });
  const v1::Job ended = agent.GetJob("stubborn");
  EXPECT_EQ(ended.outcome(), v1::OUTCOME_CANCELLED);
  EXPECT_EQ(ended.signal(), SIGKILL);
  EXPECT_FALSE(FindEvent(agent.Events("stubborn"), Payload::kSurvivors).has_survivors());
  // Nobody of the session, nor of the one that left it, is there any more.
  EXPECT_EQ(
      OutputOf(agent.Run({CommandJob(
                   "look",
                   {"sh", "-c",
                    "grep -lz BROOD_JOB_ID=stubborn /proc/[0-9]*/environ 2>/dev/null | wc -l"})}),
               v1::STREAM_STDOUT),
      "0\n");
}

TEST(CommandJobsTest, AGrandchildThatHoldsTheOutputOpenDoesNotHangTheEnd) {
  AgentProcess agent;
  const std::vector<v1::Event> events =
      agent.Run({CommandJob("daemon", {"sh", "-c", "sleep 1000 & echo hi"})});
  EXPECT_EQ(OutputOf(events, v1::STREAM_STDOUT), "hi\n");
  EXPECT_TRUE(FindEvent(events, Payload::kOutputClosed).output_closed().held_open());
  const v1::Event survivors = FindEvent(events, Payload::kSurvivors);
  ASSERT_EQ(survivors.survivors().total(), 1u);
  EXPECT_EQ(::kill(survivors.survivors().units(0).pid(), SIGKILL), 0);
}

TEST(CommandJobsTest, AJobStopsAndGoesOnBySignals) {
  AgentProcess agent;
  agent.Submit({CommandJob("paused", {"sleep", "1000"})});
  agent.WaitFor("paused", [](const v1::Event& event) { return event.has_started(); });
  const auto send = [&agent](int signal) {
    v1::SignalJobsRequest request;
    request.add_job_ids("paused");
    request.set_signal(signal);
    v1::SignalJobsResponse response;
    grpc::ClientContext signal_context;
    ASSERT_TRUE(agent.jobs().SignalJobs(&signal_context, request, &response).ok());
    EXPECT_EQ(response.answers(0).error_code(), 0) << response.answers(0).error_message();
  };
  send(SIGSTOP);
  agent.WaitFor("paused", [](const v1::Event& event) { return event.has_stopped(); });
  EXPECT_EQ(agent.GetJob("paused").state(), v1::JOB_STATE_STOPPED);
  send(SIGCONT);
  agent.WaitFor("paused", [](const v1::Event& event) { return event.has_continued(); });
  send(SIGTERM);
  agent.WaitFor("paused", [](const v1::Event& event) { return event.has_cleaned(); });
  EXPECT_EQ(agent.GetJob("paused").signal(), SIGTERM);
}

TEST(CommandJobsTest, StreamsInputAndClosesIt) {
  AgentProcess agent;
  v1::JobSubmission job = CommandJob("cat", {"sha1sum"});
  job.mutable_spec()->set_stdin_stream(true);
  agent.Submit({job});
  grpc::ClientContext input_context;
  v1::WriteInputResponse written;
  const auto writer = agent.jobs().WriteInput(&input_context, &written);
  v1::WriteInputRequest chunk;
  chunk.set_job_id("cat");
  chunk.set_bytes(std::string(65'536, 'a'));
  for (int i = 0; i < 32; ++i) ASSERT_TRUE(writer->Write(chunk));
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(written.written_bytes(), 32u * 65'536);
  agent.WaitFor("cat", [](const v1::Event& event) { return event.has_cleaned(); });
  // What "head -c 2097152 /dev/zero | tr '\0' a | sha1sum" says.
  EXPECT_EQ(OutputOf(agent.Events("cat"), v1::STREAM_STDOUT),
            "b84b7b775430232c2ee4e2216db1a591d97b2db0  -\n");
}

TEST(CommandJobsTest, TellsAWriterOfInputThatTheJobHasEnded) {
  AgentProcess agent;
  v1::JobSubmission job = CommandJob("one", {"head", "-c", "1"});
  job.mutable_spec()->set_stdin_stream(true);
  agent.Submit({job});
  grpc::ClientContext input_context;
  input_context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  v1::WriteInputResponse written;
  const auto writer = agent.jobs().WriteInput(&input_context, &written);
  v1::WriteInputRequest chunk;
  chunk.set_job_id("one");
  chunk.set_bytes("a");
  ASSERT_TRUE(writer->Write(chunk));
  // The answer comes with the end, though the writer says nothing more.
  const grpc::Status status = writer->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(written.written_bytes(), 1u);
  grpc::ClientContext late_context;
  const auto late = agent.jobs().WriteInput(&late_context, &written);
  ASSERT_TRUE(late->Write(chunk));
  const grpc::Status refused = late->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(refused.error_message().find("has ended"), std::string::npos)
      << refused.error_message();
}

TEST(CommandJobsTest, TheSameIdAndSpecIsTheSameJobAndRunsOnce) {
  AgentProcess agent;
  const std::string counter = agent.directory() + "/counter";
  const v1::JobSubmission job = CommandJob("once", {"sh", "-c", "echo x >> " + counter});
  agent.Run({job});
  const std::vector<v1::Event> again = agent.Run({job});
  EXPECT_EQ(again.back().payload_case(), Payload::kCleaned);
  EXPECT_EQ(OutputOf(agent.Run({CommandJob("count", {"cat", counter})}), v1::STREAM_STDOUT), "x\n");
  const std::vector<v1::SubmittedJob> answer = agent.TrySubmit({CommandJob("once", {"true"})});
  EXPECT_EQ(answer[0].error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(answer[0].error_field(), "job_id");
}

TEST(CommandJobsTest, JobsBeyondTheSlotsWaitInOrderAndBeyondTheQueueAreRefused) {
  AgentProcess agent({"--slots", "1", "--queue-limit", "2"});
  std::vector<v1::JobSubmission> submit;
  submit.push_back(CommandJob("first", {"sleep", "1000"}));
  for (const char* id : {"second", "third", "fourth"}) submit.push_back(CommandJob(id, {"true"}));
  const std::vector<v1::SubmittedJob> answer = agent.TrySubmit(submit);
  EXPECT_EQ(answer[2].error_code(), 0);
  EXPECT_EQ(answer[3].error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(answer[3].error_reason(), "QUEUE_FULL");
  EXPECT_EQ(agent.GetJob("second").queue_position(), 1u);
  EXPECT_EQ(agent.GetJob("third").queue_position(), 2u);
  agent.Cancel({"third", "first"});
  agent.WaitFor("second", [](const v1::Event& event) { return event.has_cleaned(); });
  EXPECT_TRUE(FindEvent(agent.Events("third"), Payload::kCancelled).has_cancelled());
  EXPECT_EQ(agent.GetJob("third").attempt(), 0u);
}

}  // namespace
}  // namespace brood::testing
