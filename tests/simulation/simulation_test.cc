// SPDX-License-Identifier: Apache-2.0
//
// The cores of agent, supervisor and clients on a host of their own making, through the weather of
// many seeds.
//
//   BROOD_SIMULATION_SEEDS  how many (10,000)
//   BROOD_SIMULATION_FIRST  the first of them (1)
//   BROOD_SIMULATION_SHOW   set: prints what happens
#include "tests/simulation/simulation.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace brood::simulation {
namespace {

constexpr uint64_t kSeeds = 10'000;
// From so many seeds on all that happens sometimes must have.
constexpr uint64_t kSeedsThatShowAll = 10'000;
// One broken seed is as good as a thousand.
constexpr int kBrokenSeedsShown = 10;

uint64_t Setting(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(SimulationTest, TheSameSeedGivesTheSameRun) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Coverage coverage;
    const Outcome first = Simulate(seed, false, &coverage);
    const Outcome second = Simulate(seed, false, &coverage);
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
    EXPECT_EQ(first.steps, second.steps) << "seed " << seed;
  }
}

TEST(SimulationTest, OtherSeedsGiveOtherRuns) {
  Coverage coverage;
  EXPECT_NE(Simulate(1, false, &coverage).trace_hash, Simulate(2, false, &coverage).trace_hash);
}

TEST(SimulationTest, NothingIsLostInAnyWeather) {
  const uint64_t seeds = Setting("BROOD_SIMULATION_SEEDS", kSeeds);
  const uint64_t first = Setting("BROOD_SIMULATION_FIRST", 1);
  const bool show = std::getenv("BROOD_SIMULATION_SHOW") != nullptr;
  Coverage coverage;
  uint64_t steps = 0;
  uint64_t jobs = 0;
  uint64_t events = 0;
  int broken = 0;
  for (uint64_t seed = first; seed < first + seeds && broken < kBrokenSeedsShown; ++seed) {
    const Outcome outcome = Simulate(seed, show, &coverage);
    steps += outcome.steps;
    jobs += outcome.jobs;
    events += outcome.events;
    if (outcome.breaches.empty()) continue;
    ++broken;
    std::string told;
    for (const std::string& breach : outcome.breaches) told += "\n  " + breach;
    ADD_FAILURE() << "seed " << seed << ":" << told << "\n  again: tests/simulation/run 1 " << seed;
  }
  std::printf("%llu seeds from %llu: %llu steps, %llu jobs, %llu events\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(steps), static_cast<unsigned long long>(jobs),
              static_cast<unsigned long long>(events));
  for (size_t i = 0; i < Coverage::size(); ++i) {
    if (show || std::getenv("BROOD_SIMULATION_COUNTS") != nullptr)
      std::printf("%10llu %s\n", static_cast<unsigned long long>(coverage[i]), kSometimesWords[i]);
    if (seeds < kSeedsThatShowAll) continue;
    EXPECT_GT(coverage[i], 0u) << "never in " << seeds << " seeds: " << kSometimesWords[i];
  }
}

}  // namespace
}  // namespace brood::simulation
