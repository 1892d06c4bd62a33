// SPDX-License-Identifier: Apache-2.0
//
// Processes of brood are killed again and again, at any moment, under load of every kind; what was
// acknowledged is done once, and told to everybody.
//
//   BROOD_CHAOS_KILLS  how often (each test has its own number)
//   BROOD_CHAOS_SEED   of all choices (1)
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/chaos/judge.h"
#include "tests/chaos/load.h"
#include "tests/testing/agent_process.h"

namespace brood::chaos {
namespace {

using testing::AgentProcess;

constexpr char kCalls[] = "chaos";  // the parent that calls run in; commands run in the default one

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class KillsTest : public ::testing::Test {
 protected:
  void SetUp() override { StartCallsParent(); }

  // Kills by `kill` so often, each time after some events and a moment; then judges.
  void Run(uint64_t kills, const std::function<void()>& kill) {
    kills = Setting("BROOD_CHAOS_KILLS", kills);
    load_.Start(2, 4);
    for (uint64_t done = 0; done < kills; ++done) {
      ASSERT_TRUE(load_.WaitForEvents(1 + random_() % 120))
          << "no events come after " << done << " kills";
      SpinFor(std::chrono::microseconds(random_() % 3'000));
      kill();
      if (HasFatalFailure()) return;
    }
    for (const std::string& id : load_.Finish())
      ADD_FAILURE() << id << " has not ended: " << agent_.GetJob(id).ShortDebugString();
    std::vector<v1::Event> journal = ReadJournal();
    ASSERT_FALSE(journal.empty());
    load_.EndWatchers(journal.back().cursor());
    Observed observed = load_.Take();
    observed.parents_died = parents_die_;
    observed.ends_may_be_unknown = ends_may_be_unknown_;
    observed.journal = std::move(journal);
    observed.ledger = ledger_.Read();
    for (const std::string& breach : Judge(observed)) ADD_FAILURE() << breach;
    for (const std::string& error : load_.errors()) ADD_FAILURE() << error;
    std::printf("seed %llu: %llu kills, %zu jobs, %zu events\n",
                static_cast<unsigned long long>(seed_), static_cast<unsigned long long>(kills),
                observed.plans.size(), observed.journal.size());
  }

  void ExpectParentsToDie() {
    parents_die_ = true;
    load_.ExpectParentToDie();
  }

  void ExpectUnknownEnds() { ends_may_be_unknown_ = true; }

  void KillAgent() { agent_.KillAndRestart(); }

  // A parent that has ended, and is not being started again, is left alone.
  void KillParent(const std::string& name) {
    const v1::Parent parent = FindParent(name);
    if (parent.state() != v1::PARENT_STATE_RUNNING) return;
    ::kill(parent.pid(), SIGKILL);
    // The default one comes again by itself.
    if (name == kCalls) AwaitEndOfCallsParent();
  }

  void KillSupervisorAndAgent() {
    ::kill(agent_.GetHost().supervisor_pid(), SIGKILL);
    KillAgent();
  }

  // And the calls' parent comes again only after that.
  void KillAll() {
    for (const char* const name : {kCalls, "default"}) {
      const v1::Parent parent = FindParent(name);
      if (parent.state() == v1::PARENT_STATE_RUNNING) ::kill(parent.pid(), SIGKILL);
    }
    KillSupervisorAndAgent();
    if (!HasFatalFailure()) AwaitEndOfCallsParent();
  }

  void KillSupervisor() {
    const int pid = agent_.GetHost().supervisor_pid();
    ::kill(pid, SIGKILL);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (agent_.GetHost().supervisor_pid() == pid)
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "no other supervisor comes";
  }

  std::mt19937_64& random() { return random_; }

 private:
  // And starts it again.
  void AwaitEndOfCallsParent() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    // An agent that was started after it does not show it any more.
    const auto gone = [this] {
      const v1::ParentState state = FindParent(kCalls).state();
      return state == v1::PARENT_STATE_UNSPECIFIED || state == v1::PARENT_STATE_ENDED;
    };
    while (!gone())
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "the end of a parent is not seen";
    StartCallsParent();
  }

  void StartCallsParent() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::StartParentRequest request;
    request.set_name(kCalls);
    request.add_libraries(CHAOS_TASKS);
    v1::StartParentResponse response;
    const grpc::Status status = agent_.parents().StartParent(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  v1::Parent FindParent(const std::string& name) {
    grpc::ClientContext context;
    v1::ListParentsResponse response;
    const grpc::Status status =
        agent_.parents().ListParents(&context, v1::ListParentsRequest(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    v1::Parent found;
    for (const v1::Parent& parent : response.parents()) {
      if (parent.name() == name && parent.incarnation() >= found.incarnation()) found = parent;
    }
    return found;
  }

  // The journal from its first event to its last.
  std::vector<v1::Event> ReadJournal() {
    grpc::ClientContext context;
    v1::WatchEventsRequest request;
    request.set_include_output(true);
    const auto stream = agent_.jobs().WatchEvents(&context, request);
    std::vector<v1::Event> events;
    v1::WatchEventsResponse response;
    while (stream->Read(&response))
      events.insert(events.end(), response.events().begin(), response.events().end());
    const grpc::Status status = stream->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return events;
  }

  // A moment that no event marks.
  static void SpinFor(std::chrono::microseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
    }
  }

  const uint64_t seed_ = Setting("BROOD_CHAOS_SEED", 1);
  std::mt19937_64 random_{seed_};
  // Snapshots come as often as kills do.
  AgentProcess agent_{{"--slots", "6", "--thread-slots", "6", "--snapshot-events", "150"}};
  const Ledger ledger_{agent_.directory() + "/ledger"};
  Load load_{agent_.socket_path(), ledger_.path(), kCalls, seed_};
  bool parents_die_ = false;
  bool ends_may_be_unknown_ = false;
};

TEST_F(KillsTest, OfTheAgentLoseAndDoubleNothing) {
  Run(50, [this] { KillAgent(); });
}

TEST_F(KillsTest, OfParentsEndTheirThreadsAndNothingElse) {
  ExpectParentsToDie();
  Run(40, [this] { KillParent(random()() % 2 == 0 ? kCalls : "default"); });
}

TEST_F(KillsTest, OfTheSupervisorAreNotNoticed) {
  Run(20, [this] { KillSupervisor(); });
}

TEST_F(KillsTest, OfAParentAndTheAgentAtOnceAreThoseOfAParent) {
  ExpectParentsToDie();
  Run(20, [this] {
    KillParent(random()() % 2 == 0 ? kCalls : "default");
    if (!HasFatalFailure()) KillAgent();
  });
}

TEST_F(KillsTest, OfTheSupervisorAndTheAgentAtOnceLoseNothing) {
  Run(20, [this] { KillSupervisorAndAgent(); });
}

TEST_F(KillsTest, OfAllOfBroodAtOnceLeaveJobsAlone) {
  ExpectParentsToDie();
  ExpectUnknownEnds();
  Run(15, [this] { KillAll(); });
}

}  // namespace
}  // namespace brood::chaos
