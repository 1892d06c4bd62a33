// SPDX-License-Identifier: Apache-2.0
//
// The agent is killed again and again, at any moment, under load of every kind; what was
// acknowledged is done once, and told to everybody.
//
//   BROOD_CHAOS_KILLS  how often (50)
//   BROOD_CHAOS_SEED   of all choices (1)
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/chaos/judge.h"
#include "tests/chaos/load.h"
#include "tests/testing/agent_process.h"

namespace brood::chaos {
namespace {

using testing::AgentProcess;

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// The journal from its first event to its last.
std::vector<v1::Event> ReadJournal(AgentProcess* agent) {
  grpc::ClientContext context;
  v1::WatchEventsRequest request;
  request.set_include_output(true);
  const auto stream = agent->jobs().WatchEvents(&context, request);
  std::vector<v1::Event> events;
  v1::WatchEventsResponse response;
  while (stream->Read(&response))
    events.insert(events.end(), response.events().begin(), response.events().end());
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return events;
}

// A moment that no event marks.
void SpinFor(std::chrono::microseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < until) {
  }
}

TEST(AgentKillsTest, WhatWasAcknowledgedIsDoneOnceAndToldToEverybody) {
  const uint64_t kills = Setting("BROOD_CHAOS_KILLS", 50);
  const uint64_t seed = Setting("BROOD_CHAOS_SEED", 1);
  AgentProcess agent({"--slots", "6", "--thread-slots", "6"});
  {
    grpc::ClientContext context;
    v1::StartParentRequest request;
    request.set_name("chaos");
    request.add_libraries(CHAOS_TASKS);
    v1::StartParentResponse response;
    const grpc::Status status = agent.parents().StartParent(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  const Ledger ledger(agent.directory() + "/ledger");
  Load load(agent.socket_path(), ledger.path(), "chaos", seed);
  load.Start(2, 4);
  std::mt19937_64 random(seed);
  for (uint64_t kill = 0; kill < kills; ++kill) {
    ASSERT_TRUE(load.WaitForEvents(1 + random() % 120))
        << "no events come after " << kill << " kills";
    SpinFor(std::chrono::microseconds(random() % 3'000));
    agent.KillAndRestart();
    if (HasFatalFailure()) return;
  }
  for (const std::string& id : load.Finish())
    ADD_FAILURE() << id << " has not ended: " << agent.GetJob(id).ShortDebugString();
  std::vector<v1::Event> journal = ReadJournal(&agent);
  ASSERT_FALSE(journal.empty());
  load.EndWatchers(journal.back().cursor());
  Observed observed = load.Take();
  observed.journal = std::move(journal);
  observed.ledger = ledger.Read();
  for (const std::string& breach : Judge(observed)) ADD_FAILURE() << breach;
  for (const std::string& error : load.errors()) ADD_FAILURE() << error;
  std::printf("seed %llu: %llu kills, %zu jobs, %zu events\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(kills),
              observed.plans.size(), observed.journal.size());
}

}  // namespace
}  // namespace brood::chaos
