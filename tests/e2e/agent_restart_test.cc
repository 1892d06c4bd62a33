// SPDX-License-Identifier: Apache-2.0
//
// The agent talks and may die; what runs does not notice. (All the deaths that
// there are, at every moment, are another chapter; this is the plain one.)
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/job/event_order.h"
#include "tests/testing/agent_process.h"

namespace brood::testing {
namespace {

TEST(AgentRestartTest, JobsGoOnAndTheirEndsAndOutputAreTrue) {
  AgentProcess agent;
  const std::string gate = agent.directory() + "/gate";
  const std::string wait = "while [ ! -e " + gate + " ]; do sleep 0.05; done; ";
  const std::vector<v1::JobSubmission> submit = {
      CommandJob("ends-after", {"sh", "-c", "echo before; " + wait + "echo after; exit 5"}),
      CommandJob("ends-between", {"sh", "-c", "echo one; sleep 0.3; echo two; exit 6"}),
      CallJob("thread", v1::MODE_THREAD, "demo.hold", {"0.5", "7"}),
      CallJob("fork", v1::MODE_FORK, "demo.hold", {"0.5", "8"})};
  agent.Submit(submit);
  for (const v1::JobSubmission& job : submit) {
    agent.WaitFor(job.job_id(), [](const v1::Event& event) { return event.has_started(); });
  }
  const v1::Job before = agent.GetJob("ends-after");
  agent.KillAndRestart();
  EXPECT_EQ(agent.GetHost().agent_incarnation(), 2u);
  agent.Run({CommandJob("open", {"touch", gate})});
  for (const v1::JobSubmission& job : submit) {
    agent.WaitFor(job.job_id(), [](const v1::Event& event) { return event.has_cleaned(); });
    EventOrder order;
    for (const v1::Event& event : agent.Events(job.job_id())) {
      const Status broken = order.Check(event);
      EXPECT_FALSE(broken) << broken->message;
    }
    EXPECT_FALSE(order.Finish());
  }
  EXPECT_EQ(agent.GetJob("ends-after").pid(), before.pid());
  EXPECT_EQ(agent.GetJob("ends-after").exit_code(), 5);
  EXPECT_EQ(OutputOf(agent.Events("ends-after"), v1::STREAM_STDOUT), "before\nafter\n");
  EXPECT_EQ(agent.GetJob("ends-between").exit_code(), 6);
  EXPECT_EQ(OutputOf(agent.Events("ends-between"), v1::STREAM_STDOUT), "one\ntwo\n");
  EXPECT_EQ(agent.GetJob("thread").outcome(), v1::OUTCOME_RETURNED);
  EXPECT_EQ(agent.GetJob("fork").outcome(), v1::OUTCOME_RETURNED);
}

TEST(AgentRestartTest, ATimeOutHoldsAndTheSpecIsStillKnown) {
  AgentProcess agent;
  std::vector<v1::JobSubmission> submit;
  v1::JobSubmission* const job = &submit.emplace_back();
  *job = CommandJob("timed", {"sleep", "3600"});
  job->mutable_spec()->mutable_timeout()->set_seconds(1);
  (*job->mutable_spec()->mutable_labels())["of"] = "a test";
  agent.Submit(submit);
  agent.WaitFor("timed", [](const v1::Event& event) { return event.has_started(); });
  agent.KillAndRestart();
  agent.WaitFor("timed", [](const v1::Event& event) { return event.has_cleaned(); });
  EXPECT_EQ(agent.GetJob("timed").outcome(), v1::OUTCOME_TIMED_OUT);
  EXPECT_EQ(agent.GetJob("timed").spec().command().argv(1), "3600");
  EXPECT_EQ(agent.GetJob("timed").spec().labels().at("of"), "a test");
}

TEST(AgentRestartTest, JobsThatWaitAreRunByTheNextAgentWithTheirEnvironment) {
  AgentProcess agent({"--slots", "1", "--thread-slots", "1"});
  const std::string gate = agent.directory() + "/gate";
  std::vector<v1::JobSubmission> submit;
  submit.push_back(
      CommandJob("first", {"sh", "-c", "while [ ! -e " + gate + " ]; do sleep 0.02; done"}));
  for (const char* const id : {"second", "third"}) {
    v1::JobSubmission* const job = &submit.emplace_back();
    *job = CommandJob(id, {"sh", "-c", "echo $OF"});
    v1::EnvironmentVariable* const variable = job->mutable_spec()->mutable_environment()->add_set();
    variable->set_name("OF");
    variable->set_value(std::string("the ") + id);
  }
  submit.push_back(CallJob("call", v1::MODE_FORK, "demo.add", {"x", "4"}));
  agent.Submit(submit);
  agent.WaitFor("first", [](const v1::Event& event) { return event.has_started(); });
  agent.KillAndRestart();
  EXPECT_EQ(agent.GetJob("call").state(), v1::JOB_STATE_QUEUED);
  std::ofstream(gate).close();
  for (const v1::JobSubmission& job : submit) {
    agent.WaitFor(job.job_id(), [](const v1::Event& event) { return event.has_cleaned(); });
    EventOrder order;
    for (const v1::Event& event : agent.Events(job.job_id())) {
      const Status broken = order.Check(event);
      EXPECT_FALSE(broken) << broken->message;
    }
  }
  for (const char* const id : {"second", "third"}) {
    EXPECT_EQ(OutputOf(agent.Events(id), v1::STREAM_STDOUT), std::string("the ") + id + "\n");
  }
  EXPECT_EQ(agent.GetJob("call").result().number_value(), 4);
  // What is needed no more is not kept.
  const std::string command =
      "grep -r --exclude-dir=spool 'the third' " + agent.directory() + "/state >/dev/null";
  EXPECT_NE(std::system(command.c_str()), 0);
}

// Of the test's own means: an agent that is dead when its test is over cannot end the others.
TEST(AgentRestartTest, WhatADeadAgentHadStartedIsGoneWithItsTest) {
  UniqueFd supervisor;
  {
    AgentProcess agent;
    supervisor.reset(
        static_cast<int>(::syscall(SYS_pidfd_open, agent.GetHost().supervisor_pid(), 0)));
    ASSERT_TRUE(supervisor);
    agent.Kill();
    EXPECT_EQ(agent.pid(), 0);
    pollfd lives{supervisor.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&lives, 1, 0), 0);
  }
  pollfd ended{supervisor.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 0), 1);
}

TEST(AgentRestartTest, ASecondAgentOnTheSameStateIsRefused) {
  AgentProcess agent;
  const std::string command = "BROOD_STATE_DIR=" + agent.directory() +
                              "/state BROOD_RUNTIME_DIR=" + agent.directory() + "/run2 " +
                              std::getenv("BROOD_BIN_DIR") + "/brood-agent 2>&1";
  FILE* const pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  char said[1024] = {};
  (void)!::fread(said, 1, sizeof(said) - 1, pipe);
  EXPECT_NE(::pclose(pipe), 0);
  EXPECT_THAT(std::string(said), ::testing::HasSubstr("another"));
  EXPECT_EQ(agent.Run({CommandJob("fine", {"true"})}).back().payload_case(), v1::Event::kCleaned);
}

}  // namespace
}  // namespace brood::testing
