// SPDX-License-Identifier: Apache-2.0
//
// What a fork costs and risks, and what becomes of jobs while they live, read of real processes.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/testing/agent_process.h"

namespace brood::testing {
namespace {

using Payload = v1::Event;
using ::testing::HasSubstr;

class ForkRisksTest : public ::testing::Test {
 protected:
  // A thread that holds the library's mutex, and has done so before this returns.
  void HoldMutex() {
    agent_.Submit({CallJob("holder", v1::MODE_THREAD, "demo.mutex.hold", {"60"})});
    agent_.WaitFor("holder", [](const v1::Event& event) { return event.has_progress(); });
  }
  void Cancel(const std::string& id) {
    agent_.Cancel({id}, std::chrono::milliseconds(100));
    agent_.WaitFor(id, [](const v1::Event& event) { return event.has_cleaned(); });
  }

  AgentProcess agent_;
};

TEST_F(ForkRisksTest, AForkSaysWhatItHadToCopyAndWhichLocksOthersHeld) {
  const v1::Event alone =
      FindEvent(agent_.Run({CallJob("alone", v1::MODE_FORK, "demo.noop", {})}), Payload::kStarted);
  EXPECT_GT(alone.started().memory_bytes(), 1u << 20);
  EXPECT_EQ(alone.started().hazards_size(), 0);
  HoldMutex();
  const v1::Event beside =
      FindEvent(agent_.Run({CallJob("beside", v1::MODE_FORK, "demo.noop", {})}), Payload::kStarted);
  ASSERT_EQ(beside.started().hazards_size(), 2);
  const v1::Hazard& mutex = beside.started().hazards(0);
  EXPECT_EQ(mutex.kind(), v1::HAZARD_KIND_MUTEX);
  EXPECT_EQ(mutex.name(), "demo.mutex");
  EXPECT_EQ(mutex.job_id(), "holder");
  EXPECT_EQ(mutex.tid(), agent_.GetJob("holder").tid());
  EXPECT_EQ(beside.started().hazards(1).kind(), v1::HAZARD_KIND_THREAD);
}

TEST_F(ForkRisksTest, ACallCanAskNotToBeForkedBesideAHazard) {
  v1::JobSubmission careful = CallJob("alone", v1::MODE_FORK, "demo.noop", {});
  careful.mutable_spec()->set_refuse_if_hazard(true);
  EXPECT_EQ(FindEvent(agent_.Run({careful}), Payload::kExited).exited().exit_code(), 0);
  HoldMutex();
  careful.set_job_id("beside");
  const v1::Event failed = FindEvent(agent_.Run({careful}), Payload::kFailedToStart);
  EXPECT_EQ(failed.failed_to_start().step(), "hazard");
  EXPECT_THAT(failed.failed_to_start().message(),
              HasSubstr("'demo.mutex' is held by the job 'holder'"));
}

TEST_F(ForkRisksTest, AnInheritedLockIsSuspectedAndItsOwnerNamed) {
  HoldMutex();
  v1::JobSubmission job = CallJob("stuck", v1::MODE_FORK, "demo.mutex.lock", {});
  job.mutable_spec()->mutable_kill_if_stuck()->set_nanos(100'000'000);
  const std::vector<v1::Event> events = agent_.Run({job});
  const v1::Event stuck = FindEvent(events, Payload::kStuckSuspected);
  EXPECT_EQ(stuck.evidence(), v1::EVIDENCE_INFERRED);
  EXPECT_EQ(stuck.stuck_suspected().owner_job_id(), "holder");
  EXPECT_EQ(stuck.stuck_suspected().owner_tid(), agent_.GetJob("holder").tid());
  const v1::Event exited = FindEvent(events, Payload::kExited);
  EXPECT_EQ(exited.exited().signal(), SIGKILL);
  EXPECT_EQ(exited.exited().cause(), v1::END_CAUSE_INHERITED_LOCK);
}

TEST_F(ForkRisksTest, AnHonestLongWaitIsNeverSuspectedNorKilled) {
  HoldMutex();
  // Asleep, waiting for what never comes, and computing: each for longer than a suspicion takes.
  std::vector<v1::JobSubmission> jobs = {
      CallJob("sleeps", v1::MODE_FORK, "demo.deaf", {"2"}),
      CallJob("waits", v1::MODE_FORK, "demo.wait", {"never", "1", "2"}),
      CallJob("computes", v1::MODE_FORK, "demo.spin", {"2"})};
  for (v1::JobSubmission& job : jobs) {
    job.mutable_spec()->mutable_kill_if_stuck()->set_nanos(100'000'000);
  }
  for (const v1::Event& event : agent_.Run(jobs)) {
    EXPECT_FALSE(event.has_stuck_suspected()) << event.job_id();
    const bool bad = event.has_exited() && event.exited().exit_code() != 0;
    EXPECT_FALSE(bad) << event.job_id();
  }
}

TEST_F(ForkRisksTest, TheMeterTellsWhatOfItsMemoryIsTheForksOwn) {
  v1::JobSubmission job = CallJob("metered", v1::MODE_FORK, "demo.hold", {"60"});
  job.mutable_spec()->mutable_memory_meter()->set_nanos(50'000'000);
  agent_.Submit({job});
  agent_.WaitFor("metered", [](const v1::Event& event) { return event.has_memory_pages(); });
  const v1::MemoryPages pages =
      FindEvent(agent_.Events("metered"), Payload::kMemoryPages).memory_pages();
  EXPECT_GT(pages.private_dirty(), 0u);
  EXPECT_GT(pages.shared_dirty(), 0u);
  EXPECT_GE(pages.rss(), pages.private_dirty() + pages.shared_dirty());
  Cancel("metered");
}

TEST_F(ForkRisksTest, WhatAJobHasStartedIsSeenAlsoWhereItHasLeftItsFamily) {
  // One in a session of its own, whose parent is gone at once.
  agent_.Submit(
      {CommandJob("family", {"sh", "-c", "sleep 600 & setsid sh -c 'sleep 600 &'; wait"})});
  std::set<int> seen;
  agent_.WaitFor("family", [&](const v1::Event& event) {
    if (event.has_descendant_seen()) seen.insert(event.descendant_seen().descendant().pid());
    return seen.size() == 2;
  });
  EXPECT_EQ(seen.count(agent_.GetJob("family").pid()), 0u);
  Cancel("family");
}

TEST_F(ForkRisksTest, TheEndOfADescendantIsSeenToo) {
  const std::string gate = agent_.directory() + "/gate";
  const std::string wait = "while [ ! -e " + gate + " ]; do sleep 0.02; done";
  agent_.Submit(
      {CommandJob("family", {"sh", "-c", "(" + wait + ") & while :; do sleep 0.2; done"})});
  int32_t child = 0;
  agent_.WaitFor("family", [&](const v1::Event& event) {
    // The waiting shell, not one of the sleeps.
    if (event.has_descendant_seen()) child = event.descendant_seen().descendant().pid();
    return child != 0;
  });
  agent_.Run({CommandJob("open", {"touch", gate})});
  agent_.WaitFor("family", [](const v1::Event& event) { return event.has_descendant_exited(); });
  Cancel("family");
}

// What any client sees of a host that it is not on.
TEST(ListProcessesTest, HasParentsJobsTheirProcessesAndTheirThreads) {
  AgentProcess agent;
  agent.Submit({CommandJob("shell", {"sh", "-c", "sleep 3600 & wait"}),
                CallJob("thread", v1::MODE_THREAD, "demo.hold", {"3600"})});
  for (const char* const id : {"shell", "thread"}) {
    agent.WaitFor(id, [](const v1::Event& event) { return event.has_started(); });
  }
  // The shell's own child comes a moment after the shell.
  agent.WaitFor("shell", [](const v1::Event& event) { return event.has_descendant_seen(); });
  v1::ListProcessesRequest request;
  request.set_threads(true);
  v1::ListProcessesResponse listed;
  grpc::ClientContext context;
  ASSERT_TRUE(agent.host().ListProcesses(&context, request, &listed).ok());
  std::map<int, v1::Process> processes;
  for (const v1::Process& process : listed.processes()) processes[process.pid()] = process;
  EXPECT_EQ(processes[agent.pid()].name(), "brood-agent");
  const int shell = agent.GetJob("shell").pid();
  EXPECT_EQ(processes[shell].ppid(), agent.GetJob("thread").pid());
  int children = 0;
  for (const auto& [pid, process] : processes) children += process.ppid() == shell;
  EXPECT_EQ(children, 1);
  const int tid = agent.GetJob("thread").tid();
  int found = 0;
  for (const v1::ProcessThread& thread : processes[agent.GetJob("thread").pid()].threads())
    found += thread.tid() == tid;
  EXPECT_EQ(found, 1);
  // Of this machine's processes only brood's.
  EXPECT_EQ(processes.count(::getpid()), 0u);
}

}  // namespace
}  // namespace brood::testing
