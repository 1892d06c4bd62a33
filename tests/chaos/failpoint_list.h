// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "common/base/failpoint_table.h"

namespace brood::chaos {

// What brings a process past a point, beside the load that runs all the time.
enum class Drive {
  kLoad,                // nothing more
  kFirstStart,          // the very first start of a host
  kAgent,               // the agent is killed, and the next one started
  kUntold,              // it is killed before it tells a parent of a start that it wrote
  kParent,              // the calls' parent is killed
  kParentReturns,       // it is asked to return from main
  kParentAndAgent,      // both are killed, the parent first
  kSupervisor,          // the supervisor is killed
  kSupervisorAndAgent,  // both are killed
  kNewParent,           // one more parent is started
};

// What the promise allows for then, beyond "nothing happened".
enum Allowance : uint32_t {
  kNothing = 0,
  kAgentEnds = 1,      // it ends by itself, and the next one goes on
  kStartFails = 2,     // one job is not started, and says so
  kOutputDropped = 4,  // what was not kept of an output is counted
  // Clients that come before a parent has told the new agent its tasks are refused as if it had not
  // that task.
  kCallsRefused = 8,
  kDoorShut = 16,  // nothing new is taken in for a while: clients are told so
};

// One action at one point: one run of failpoints_test.
struct FailpointRun {
  std::string point;
  std::string program;
  Drive drive = Drive::kLoad;
  // Of the action: kill, late (kill after a moment; a child waits after its parent's death), torn,
  // short, delay, or an errno's name.
  std::string word;
  FailAction action = FailAction::kNone;
  int32_t argument = 0;
  uint32_t allowed = kNothing;
};

// For messages of gtest.
void PrintTo(const FailpointRun& run, std::ostream* out);

// All points of the code, each with all that makes sense there.
std::vector<FailpointRun> AllFailpointRuns();

}  // namespace brood::chaos
