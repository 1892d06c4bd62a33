// SPDX-License-Identifier: Apache-2.0
//
// Calls as threads and as forks of one parent, through a real agent.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/agent_process.h"

namespace brood::testing {
namespace {

using Payload = v1::Event;

int64_t ReturnedInt(const std::vector<v1::Event>& events) {
  const v1::Event thread = FindEvent(events, Payload::kThreadEnded);
  if (thread.has_thread_ended()) return thread.thread_ended().returned().value().int_value();
  return FindEvent(events, Payload::kExited).exited().returned().value().int_value();
}

v1::ReadMemoryResponse ReadCell(AgentProcess* agent, const std::string& cell) {
  v1::ReadMemoryRequest request;
  request.add_cells(cell);
  v1::ReadMemoryResponse response;
  grpc::ClientContext context;
  const grpc::Status status = agent->parents().ReadMemory(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

TEST(CallJobsTest, AThreadChangesTheParentsCellForAllAndAForkOnlyItsCopy) {
  AgentProcess agent;
  EXPECT_EQ(ReturnedInt(agent.Run({CallJob("t1", v1::MODE_THREAD, "demo.add", {"cell", "5"})})), 5);
  EXPECT_EQ(ReadCell(&agent, "cell").cells(0).value().int_value(), 5);
  EXPECT_EQ(ReturnedInt(agent.Run({CallJob("f1", v1::MODE_FORK, "demo.add", {"cell", "100"})})),
            105);
  EXPECT_EQ(ReadCell(&agent, "cell").cells(0).value().int_value(), 5);
  EXPECT_EQ(ReturnedInt(agent.Run({CallJob("t2", v1::MODE_THREAD, "demo.add", {"cell", "1"})})), 6);
}

TEST(CallJobsTest, AThreadIsTheParentsProcessAndAForkOneOfItsOwn) {
  AgentProcess agent;
  agent.Run({CallJob("t", v1::MODE_THREAD, "demo.noop", {}),
             CallJob("f", v1::MODE_FORK, "demo.noop", {})});
  v1::ListParentsResponse parents;
  grpc::ClientContext context;
  ASSERT_TRUE(agent.parents().ListParents(&context, v1::ListParentsRequest(), &parents).ok());
  const int parent = parents.parents(0).pid();
  const v1::Job thread = agent.GetJob("t");
  const v1::Job fork = agent.GetJob("f");
  EXPECT_EQ(thread.pid(), parent);
  EXPECT_NE(thread.tid(), parent);
  EXPECT_NE(fork.pid(), parent);
  EXPECT_EQ(fork.ppid(), parent);
}

TEST(CallJobsTest, AnExceptionIsTheEndOfTheJobAndOfNothingElse) {
  AgentProcess agent;
  for (const v1::Mode mode : {v1::MODE_THREAD, v1::MODE_FORK}) {
    const std::string id = mode == v1::MODE_THREAD ? "thread" : "fork";
    agent.Run({CallJob(id, mode, "demo.fail", {"no luck"})});
    const v1::Job job = agent.GetJob(id);
    EXPECT_EQ(job.outcome(), v1::OUTCOME_THREW);
    EXPECT_EQ(job.exit_code(), 1);
    EXPECT_THAT(job.message(), ::testing::HasSubstr("no luck"));
  }
  EXPECT_EQ(ReturnedInt(agent.Run({CallJob("after", v1::MODE_THREAD, "demo.add", {"c", "1"})})), 1);
}

TEST(CallJobsTest, WhatACallPrintsIsItsOutputInBothModes) {
  AgentProcess agent;
  for (const v1::Mode mode : {v1::MODE_THREAD, v1::MODE_FORK}) {
    const std::string id = mode == v1::MODE_THREAD ? "thread" : "fork";
    EXPECT_EQ(OutputOf(agent.Run({CallJob(id, mode, "demo.print", {"hello"})}), v1::STREAM_STDOUT),
              "hello\n");
  }
}

TEST(CallJobsTest, ACrashInAForkHurtsOnlyItselfAndInAThreadEndsTheParentAndNamesTheCulprit) {
  AgentProcess agent;
  agent.Submit({CallJob("victim", v1::MODE_THREAD, "demo.hold", {"1000"}),
                CallJob("child", v1::MODE_FORK, "demo.hold", {"0.3", "7"})});
  agent.WaitFor("victim", [](const v1::Event& event) { return event.has_started(); });
  agent.WaitFor("child", [](const v1::Event& event) { return event.has_started(); });
  agent.Run({CallJob("fork-crash", v1::MODE_FORK, "demo.crash", {"segv"})});
  EXPECT_EQ(agent.GetJob("fork-crash").outcome(), v1::OUTCOME_SIGNALED);
  EXPECT_EQ(agent.GetJob("victim").state(), v1::JOB_STATE_RUNNING);
  agent.Run({CallJob("thread-crash", v1::MODE_THREAD, "demo.crash", {"segv"})});
  agent.WaitFor("victim", [](const v1::Event& event) { return event.has_cleaned(); });
  EXPECT_EQ(agent.GetJob("victim").outcome(), v1::OUTCOME_PARENT_ENDED);
  EXPECT_EQ(FindEvent(agent.Events("victim"), Payload::kThreadEnded)
                .thread_ended()
                .parent_ended()
                .culprit_job_id(),
            "thread-crash");
  // The forked child went on, and its end is still true.
  agent.WaitFor("child", [](const v1::Event& event) { return event.has_cleaned(); });
  const v1::Job child = agent.GetJob("child");
  EXPECT_EQ(child.outcome(), v1::OUTCOME_RETURNED);
  EXPECT_EQ(FindEvent(agent.Events("child"), Payload::kExited).observer(), v1::OBSERVER_SUPERVISOR);
  // And the next life of the parent starts with fresh memory.
  agent.Run({CallJob("next", v1::MODE_FORK, "demo.noop", {})});
  EXPECT_EQ(agent.GetJob("next").parent_incarnation(), 2u);
}

TEST(CallJobsTest, AThreadStopsByItsTokenAndWhatDoesNotStopIsSaidNotToHave) {
  AgentProcess agent;
  agent.Submit({CallJob("polite", v1::MODE_THREAD, "demo.hold", {"1000"}),
                CallJob("deaf", v1::MODE_THREAD, "demo.deaf", {"2"})});
  for (const char* id : {"polite", "deaf"}) {
    agent.WaitFor(id, [](const v1::Event& event) { return event.has_started(); });
  }
  agent.Cancel({"polite", "deaf"}, std::chrono::milliseconds(50));
  agent.WaitFor("polite", [](const v1::Event& event) { return event.has_cleaned(); });
  EXPECT_EQ(agent.GetJob("polite").outcome(), v1::OUTCOME_CANCELLED);
  agent.WaitFor("deaf", [](const v1::Event& event) { return event.has_cancel_pending(); });
}

TEST(CallJobsTest, RefusesUnknownTasksAndArgumentsThatDoNotFitByNameOfTheField) {
  AgentProcess agent;
  std::vector<v1::JobSubmission> submit;
  submit.push_back(CallJob("a", v1::MODE_THREAD, "demo.nothing", {}));
  submit.push_back(CallJob("b", v1::MODE_THREAD, "demo.add", {"cell", "many"}));
  submit.push_back(CallJob("c", v1::MODE_THREAD, "demo.add", {"cell"}));
  v1::JobSubmission limited = CallJob("d", v1::MODE_THREAD, "demo.noop", {});
  limited.mutable_spec()->add_limits()->set_name("cpu");
  submit.push_back(limited);
  const std::vector<v1::SubmittedJob> answer = agent.TrySubmit(submit);
  EXPECT_EQ(answer[0].error_field(), "spec.call.task");
  EXPECT_EQ(answer[1].error_field(), "spec.call.arguments[1]");
  EXPECT_THAT(answer[2].error_field(), ::testing::StartsWith("spec.call.arguments"));
  EXPECT_THAT(answer[3].error_field(), ::testing::StartsWith("spec.limits"));
}

TEST(CallJobsTest, AParentEndsAsAskedAndTakesItsThreadsButNotItsForks) {
  AgentProcess agent;
  for (const v1::ParentEnd how :
       {v1::PARENT_END_RETURN, v1::PARENT_END_EXIT, v1::PARENT_END_ABORT, v1::PARENT_END_KILL}) {
    const std::string name = "p" + std::to_string(how);
    v1::StartParentRequest start;
    start.set_name(name);
    v1::StartParentResponse started;
    grpc::ClientContext start_context;
    ASSERT_TRUE(agent.parents().StartParent(&start_context, start, &started).ok());
    std::vector<v1::JobSubmission> submit;
    submit.push_back(CallJob(name + "-thread", v1::MODE_THREAD, "demo.hold", {"1000"}));
    submit.push_back(CallJob(name + "-fork", v1::MODE_FORK, "demo.hold", {"0.2", "9"}));
    for (v1::JobSubmission& job : submit) job.mutable_spec()->set_parent(name);
    agent.Submit(submit);
    for (const v1::JobSubmission& job : submit) {
      agent.WaitFor(job.job_id(), [](const v1::Event& event) { return event.has_started(); });
    }
    v1::EndParentRequest end;
    end.set_name(name);
    end.set_how(how);
    v1::EndParentResponse ended;
    grpc::ClientContext end_context;
    const grpc::Status status = agent.parents().EndParent(&end_context, end, &ended);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(ended.parent().state(), v1::PARENT_STATE_ENDED);
    EXPECT_EQ(ended.parent().ended().how(), how);
    EXPECT_EQ(agent.GetJob(name + "-thread").outcome(), v1::OUTCOME_PARENT_ENDED);
    agent.WaitFor(name + "-fork", [](const v1::Event& event) { return event.has_cleaned(); });
    EXPECT_EQ(agent.GetJob(name + "-fork").outcome(), v1::OUTCOME_RETURNED);
  }
}

}  // namespace
}  // namespace brood::testing
