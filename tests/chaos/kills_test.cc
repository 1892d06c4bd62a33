// SPDX-License-Identifier: Apache-2.0
//
// Processes of brood are killed again and again, at any moment, under load of every kind; what was
// acknowledged is done once, and told to everybody.
//
//   BROOD_CHAOS_KILLS  how often (each test has its own number)
//   BROOD_CHAOS_SEED   of all choices (1)
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>

#include "tests/chaos/world.h"
#include "tests/testing/kill_by_pid.h"

namespace brood::chaos {
namespace {

using testing::KillByPid;

// Some five jobs' worth at most, so that each kill meets others in other states.
constexpr uint64_t kEventsBetweenMax = 80;

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class KillsTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(world_.StartParent(kCalls), ""); }

  // Kills by `kill` so often, each time after some events and a moment; then judges.
  void Run(uint64_t kills, const std::function<void()>& kill) {
    kills = Setting("BROOD_CHAOS_KILLS", kills);
    world_.load().Start(2, 4);
    for (uint64_t done = 0; done < kills; ++done) {
      ASSERT_TRUE(world_.load().WaitForEvents(1 + random_() % kEventsBetweenMax))
          << "no events come after " << done << " kills";
      SpinFor(std::chrono::microseconds(random_() % 3'000));
      kill();
      if (HasFatalFailure()) return;
    }
    world_.FinishAndJudge();
    std::printf("seed %llu: %llu kills, %s\n", static_cast<unsigned long long>(seed_),
                static_cast<unsigned long long>(kills), world_.summary().c_str());
  }

  void ExpectParentsToDie() { world_.ExpectParentsToDie(); }
  void ExpectUnknownEnds() { world_.allowed().ends_may_be_unknown = true; }

  void KillAgent() { world_.agent().KillAndRestart(); }

  // A parent that has ended, and is not being started again, is left alone.
  void KillParent(const std::string& name) {
    const v1::Parent parent = world_.FindParent(name);
    if (parent.state() != v1::PARENT_STATE_RUNNING) return;
    KillByPid(parent.pid());
    if (HasFatalFailure()) return;
    // The default one comes again by itself.
    if (name == kCalls) world_.AwaitEndOfCallsParent();
  }

  void KillSupervisorAndAgent() {
    KillByPid(world_.agent().GetHost().supervisor_pid());
    if (!HasFatalFailure()) KillAgent();
  }

  // And the calls' parent comes again only after that.
  void KillAll() {
    for (const char* const name : {kCalls, "default"}) {
      const v1::Parent parent = world_.FindParent(name);
      if (parent.state() == v1::PARENT_STATE_RUNNING) KillByPid(parent.pid());
    }
    if (!HasFatalFailure()) KillSupervisorAndAgent();
    if (!HasFatalFailure()) world_.AwaitEndOfCallsParent();
  }

  void KillSupervisor() {
    const int pid = world_.agent().GetHost().supervisor_pid();
    KillByPid(pid);
    if (HasFatalFailure()) return;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (world_.agent().GetHost().supervisor_pid() == pid)
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "no other supervisor comes";
  }

  std::mt19937_64& random() { return random_; }

 private:
  // A moment that no event marks.
  static void SpinFor(std::chrono::microseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
    }
  }

  const uint64_t seed_ = Setting("BROOD_CHAOS_SEED", 1);
  std::mt19937_64 random_{seed_};
  World world_{seed_};
};

TEST_F(KillsTest, OfTheAgentLoseAndDoubleNothing) {
  Run(200, [this] { KillAgent(); });
}

TEST_F(KillsTest, OfParentsEndTheirThreadsAndNothingElse) {
  ExpectParentsToDie();
  Run(100, [this] { KillParent(random()() % 2 == 0 ? kCalls : "default"); });
}

TEST_F(KillsTest, OfTheSupervisorAreNotNoticed) {
  Run(50, [this] { KillSupervisor(); });
}

TEST_F(KillsTest, OfAParentAndTheAgentAtOnceAreThoseOfAParent) {
  ExpectParentsToDie();
  Run(50, [this] {
    KillParent(random()() % 2 == 0 ? kCalls : "default");
    if (!HasFatalFailure()) KillAgent();
  });
}

TEST_F(KillsTest, OfTheSupervisorAndTheAgentAtOnceLoseNothing) {
  Run(50, [this] { KillSupervisorAndAgent(); });
}

TEST_F(KillsTest, OfAllOfBroodAtOnceLeaveJobsAlone) {
  ExpectParentsToDie();
  ExpectUnknownEnds();
  Run(50, [this] { KillAll(); });
}

}  // namespace
}  // namespace brood::chaos
