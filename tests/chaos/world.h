// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "brood/v1/parent_service.pb.h"
#include "tests/chaos/judge.h"
#include "tests/chaos/ledger.h"
#include "tests/chaos/load.h"
#include "tests/testing/agent_process.h"

namespace brood::chaos {

inline constexpr char kCalls[] =
    "chaos";  // the parent that calls run in; commands: the default one

// A real agent, a load on it, and at the end the judge.
class World {
 public:
  // Its agent is started up to so often, if it ends.
  explicit World(uint64_t seed, int starts = 1);

  testing::AgentProcess& agent() { return agent_; }
  Load& load() { return load_; }

  // What the judge is to allow for, see Observed.
  Observed& allowed() { return allowed_; }
  void ExpectParentsToDie();

  // The present or last life; state UNSPECIFIED: there is none, or nobody who knows.
  v1::Parent FindParent(const std::string& name);
  // Empty once it runs, else why it does not.
  std::string StartParent(const std::string& name);
  // Asks it to return from main, and does not wait.
  void EndParent(const std::string& name);
  // Waits for the end of the calls' parent, which is sure to come, and starts it again.
  void AwaitEndOfCallsParent();

  // Waits for the end of all jobs, and reports each breach as a test failure.
  void FinishAndJudge();
  // In one line, after that.
  const std::string& summary() const { return summary_; }

 private:
  std::vector<v1::Event> ReadJournal();

  testing::AgentProcess agent_;
  const Ledger ledger_{agent_.directory() + "/ledger"};
  Load load_;
  Observed allowed_;
  std::string summary_;
};

}  // namespace brood::chaos
