// SPDX-License-Identifier: Apache-2.0
//
// A parent ends, in each way there is, with threads, forks and commands alive: who
// ends with it, who goes on, and whose child it is then.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "common/job/event_order.h"
#include "common/job/value.h"
#include "tests/testing/agent_process.h"

namespace brood::testing {
namespace {

using Payload = v1::Event;

// What /proc itself says of a process's parent; 0 if there is no such process.
int ParentOf(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string word;
  while (file >> word) {
    if (word != "PPid:") continue;
    int ppid = 0;
    file >> ppid;
    return ppid;
  }
  return 0;
}

class ParentEndsTest : public ::testing::Test {
 protected:
  void StartParent() {
    v1::StartParentRequest request;
    request.set_name("p");
    v1::StartParentResponse response;
    grpc::ClientContext context;
    const grpc::Status status = agent_.parents().StartParent(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    parent_ = response.parent();
  }

  grpc::Status EndParent(v1::ParentEnd how, v1::Parent* ended = nullptr) {
    v1::EndParentRequest request;
    request.set_name("p");
    request.set_how(how);
    v1::EndParentResponse response;
    grpc::ClientContext context;
    const grpc::Status status = agent_.parents().EndParent(&context, request, &response);
    if (ended != nullptr) *ended = response.parent();
    return status;
  }

  void Submit(std::vector<v1::JobSubmission> jobs) {
    for (v1::JobSubmission& job : jobs) job.mutable_spec()->set_parent("p");
    agent_.Submit(jobs);
    for (const v1::JobSubmission& job : jobs)
      agent_.WaitFor(job.job_id(), [](const v1::Event& event) { return event.has_started(); });
  }

  // A thread, a fork that returns 9, and a command that exits with 3, all of which wait for Open.
  void SubmitAll() {
    const std::string wait = "while [ ! -e " + Gate() + " ]; do sleep 0.02; done; exit 3";
    Submit({CallJob("thread", v1::MODE_THREAD, "demo.hold", {"60", "1"}),
            CallJob("fork", v1::MODE_FORK, "demo.hold", {"1.5", "9"}),
            CommandJob("command", {"sh", "-c", wait})});
  }
  // The files of a life, NAME-INCARNATION.
  std::filesystem::path FolderOf(const std::string& life) const {
    const std::filesystem::directory_iterator hosts(agent_.directory() + "/state");
    return hosts->path() / "parents" / life;
  }
  std::string Gate() const { return agent_.directory() + "/gate"; }
  void Open() { std::ofstream(Gate()) << "open"; }

  std::vector<v1::Event> Whole(const std::string& job) {
    agent_.WaitFor(job, [](const v1::Event& event) { return event.has_cleaned(); });
    std::vector<v1::Event> events = agent_.Events(job);
    EventOrder order;
    for (const v1::Event& event : events) {
      const Status broken = order.Check(event);
      EXPECT_FALSE(broken) << broken->message;
    }
    return events;
  }

  // The events of the parent itself, by a watch of everything.
  v1::Event ParentEvent(Payload::PayloadCase payload) {
    v1::WatchEventsRequest request;
    grpc::ClientContext context;
    const auto reader = agent_.jobs().WatchEvents(&context, request);
    v1::Event found;
    for (v1::WatchEventsResponse page; reader->Read(&page);) {
      for (const v1::Event& event : page.events()) {
        if (event.unit().parent() == "p" && event.payload_case() == payload) found = event;
      }
    }
    return found;
  }

  void ExpectForksOutlive(const std::vector<std::string>& jobs) {
    const v1::Event ended = ParentEvent(Payload::kParentEnded);
    for (const std::string& job : jobs) {
      agent_.WaitFor(job, [](const v1::Event& event) { return event.has_reparented(); });
      const v1::Event told = FindEvent(agent_.Events(job), Payload::kReparented);
      EXPECT_EQ(told.reparented().old_ppid(), parent_.pid());
      EXPECT_EQ(told.reparented().new_ppid(), agent_.GetHost().supervisor_pid());
      EXPECT_EQ(told.reparented().new_ppid(), ParentOf(agent_.GetJob(job).pid()));
      EXPECT_EQ(told.reparented().adopter(), "brood-superviso");
      EXPECT_GT(told.cursor(), ended.cursor());
    }
  }

  AgentProcess agent_;
  v1::Parent parent_;
};

struct Way {
  v1::ParentEnd how;
  int exit_code;  // -1: by the signal
  int signal;
};

class ParentEndsByTest : public ParentEndsTest, public ::testing::WithParamInterface<Way> {};

TEST_P(ParentEndsByTest, ItsThreadsEndWithItAndItsForksGoOnAsTheSupervisorsChildren) {
  StartParent();
  SubmitAll();
  v1::Parent last;
  ASSERT_TRUE(EndParent(GetParam().how, &last).ok());
  EXPECT_EQ(last.state(), v1::PARENT_STATE_ENDED);
  EXPECT_EQ(last.ended().how(), GetParam().how);
  EXPECT_EQ(last.ended().has_exit_code() ? last.ended().exit_code() : -1, GetParam().exit_code);
  EXPECT_EQ(last.ended().signal(), GetParam().signal);
  EXPECT_EQ(ParentEvent(Payload::kParentEnding).parent_ending().how(), GetParam().how);

  const v1::Event thread = FindEvent(Whole("thread"), Payload::kThreadEnded);
  EXPECT_TRUE(thread.thread_ended().has_parent_ended());
  EXPECT_EQ(thread.thread_ended().parent_ended().culprit_job_id(), "");
  ExpectForksOutlive({"fork", "command"});
  Open();
  EXPECT_EQ(FindEvent(Whole("command"), Payload::kExited).exited().exit_code(), 3);
  const v1::Event fork = FindEvent(Whole("fork"), Payload::kExited);
  EXPECT_EQ(fork.exited().exit_code(), 0);
  EXPECT_EQ(ValueToJson(fork.exited().returned().value()), "9");
  EXPECT_EQ(fork.observer(), v1::OBSERVER_SUPERVISOR);
}

INSTANTIATE_TEST_SUITE_P(Ways, ParentEndsByTest,
                         ::testing::Values(Way{v1::PARENT_END_RETURN, 0, 0},
                                           Way{v1::PARENT_END_EXIT, 0, 0},
                                           Way{v1::PARENT_END_ABORT, -1, SIGABRT},
                                           Way{v1::PARENT_END_KILL, -1, SIGKILL}),
                         [](const auto& way) { return v1::ParentEnd_Name(way.param.how); });

TEST_F(ParentEndsTest, WhereOnlyTheMainThreadLeavesTheOthersGoOnAndNobodyIsReparented) {
  StartParent();
  Submit({CallJob("thread", v1::MODE_THREAD, "demo.hold", {"0.6", "1"}),
          CallJob("fork", v1::MODE_FORK, "demo.hold", {"0.3", "9"})});
  ASSERT_TRUE(EndParent(v1::PARENT_END_THREAD_EXIT).ok());
  const v1::Event thread = FindEvent(Whole("thread"), Payload::kThreadEnded);
  EXPECT_EQ(ValueToJson(thread.thread_ended().returned().value()), "1");
  // It had ended before the last thread, and so the process, did. Nobody waited for it then: its
  // parent's main thread, which does, had left.
  const std::vector<v1::Event> fork = Whole("fork");
  EXPECT_EQ(FindEvent(fork, Payload::kExited).exited().exit_code(), 0);
  EXPECT_EQ(ValueToJson(FindEvent(fork, Payload::kExited).exited().returned().value()), "9");
}

TEST_F(ParentEndsTest, ACrashNamesTheThreadThatMadeItToEveryVictim) {
  StartParent();
  Submit({CallJob("victim1", v1::MODE_THREAD, "demo.hold", {"60"}),
          CallJob("victim2", v1::MODE_THREAD, "demo.hold", {"60"}),
          CallJob("fork", v1::MODE_FORK, "demo.hold", {"1.5", "9"})});
  Submit({CallJob("culprit", v1::MODE_THREAD, "demo.crash", {"segv"})});
  for (const char* const job : {"victim1", "victim2", "culprit"}) {
    const v1::Event ended = FindEvent(Whole(job), Payload::kThreadEnded);
    EXPECT_EQ(ended.thread_ended().parent_ended().culprit_job_id(), "culprit") << job;
  }
  EXPECT_EQ(ParentEvent(Payload::kParentEnded).parent_ended().culprit_job_id(), "culprit");
  ExpectForksOutlive({"fork"});
  EXPECT_EQ(FindEvent(Whole("fork"), Payload::kExited).exited().exit_code(), 0);
}

TEST_F(ParentEndsTest, TheNextLifeHasFreshMemoryAndTheNextNumber) {
  StartParent();
  EXPECT_EQ(parent_.incarnation(), 1u);
  v1::JobSubmission add = CallJob("add", v1::MODE_THREAD, "demo.add", {"x", "5"});
  add.mutable_spec()->set_parent("p");
  agent_.Run({add});
  ASSERT_TRUE(EndParent(v1::PARENT_END_RETURN).ok());
  StartParent();
  EXPECT_EQ(parent_.incarnation(), 2u);
  v1::JobSubmission read = CallJob("read", v1::MODE_THREAD, "demo.read", {"x"});
  read.mutable_spec()->set_parent("p");
  const v1::Event ended = FindEvent(agent_.Run({read}), Payload::kThreadEnded);
  EXPECT_THAT(ended.thread_ended().threw().what(), ::testing::HasSubstr("does not exist"));
}

// Of the agent: what it holds of a life is to be let go with the last of its forks.
size_t OpenFiles(int pid) {
  size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

TEST_F(ParentEndsTest, TheAgentKeepsNothingOfALifeOnceItsForksHaveEnded) {
  agent_.Run({CommandJob("warm", {"true"})});
  const size_t before = OpenFiles(agent_.pid());
  StartParent();
  Submit({CallJob("fork", v1::MODE_FORK, "demo.orphan", {})});
  agent_.WaitFor("fork", [](const v1::Event& event) { return event.has_progress(); });
  ASSERT_TRUE(EndParent(v1::PARENT_END_RETURN).ok());
  Whole("fork");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (OpenFiles(agent_.pid()) != before && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(OpenFiles(agent_.pid()), before);
  EXPECT_FALSE(std::filesystem::exists(FolderOf("p-1")));
}

// An agent died after it had written that the life was over, and before its files were gone.
TEST_F(ParentEndsTest, WhatIsLeftOfALifeThatIsOverTheNextAgentRemoves) {
  StartParent();
  ASSERT_TRUE(EndParent(v1::PARENT_END_RETURN).ok());
  agent_.Kill();
  for (const char* const life : {"p-1", "nobody-1"}) {
    std::filesystem::create_directory(FolderOf(life));
    std::ofstream(FolderOf(life) / "parent.log") << "left";
  }
  ASSERT_TRUE(agent_.TryStart());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::filesystem::exists(FolderOf("p-1")) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(std::filesystem::exists(FolderOf("p-1")));
  EXPECT_TRUE(std::filesystem::exists(FolderOf("nobody-1"))) << "it may just be starting";
  EXPECT_TRUE(std::filesystem::exists(FolderOf("default-1"))) << "it lives";
}

TEST_F(ParentEndsTest, EndingAgainIsRefusedWithTheReason) {
  const grpc::Status unknown = EndParent(v1::PARENT_END_RETURN);
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  StartParent();
  Submit({CallJob("thread", v1::MODE_THREAD, "demo.hold", {"60"})});
  ASSERT_TRUE(EndParent(v1::PARENT_END_THREAD_EXIT).ok());
  const grpc::Status again = EndParent(v1::PARENT_END_RETURN);
  EXPECT_EQ(again.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(again.error_message(), ::testing::HasSubstr("is ending already"));
  v1::StartParentRequest request;
  request.set_name("p");
  v1::StartParentResponse response;
  grpc::ClientContext context;
  const grpc::Status start = agent_.parents().StartParent(&context, request, &response);
  EXPECT_EQ(start.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(start.error_message(), ::testing::HasSubstr("is ending"));
  // But what cannot be asked any more can be killed.
  v1::Parent last;
  ASSERT_TRUE(EndParent(v1::PARENT_END_KILL, &last).ok());
  EXPECT_EQ(last.ended().signal(), SIGKILL);
  EXPECT_TRUE(FindEvent(Whole("thread"), Payload::kThreadEnded).thread_ended().has_parent_ended());
}

}  // namespace
}  // namespace brood::testing
