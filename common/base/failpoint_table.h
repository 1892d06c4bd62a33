// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace brood {

enum class FailAction : uint32_t {
  kNone = 0,
  // SIGKILL to the process, `argument` ms after it came here; at a point in a child to its parent,
  // and then the child waits so long.
  kKill = 1,
  kDelay = 2,  // `argument` milliseconds
  kError = 3,  // the call fails with errno `argument`
  kShort = 4,  // the call takes half of what it was given
  kTorn = 5,   // kShort, then kKill at the next hit
};

// What is to happen, and what has. A test arms it by storing `hits_left` last; the process that
// counts it down to 0 acts, so that an action is done once whoever starts again meanwhile.
struct ArmedFailpoint {
  char name[48] = {};
  char program[24] = {};  // as program_invocation_short_name has it
  FailAction action = FailAction::kNone;
  int32_t argument = 0;
  int32_t hits_left = 0;  // atomic; 0 or less: not armed
  uint32_t fired = 0;     // atomic
};

// The file that BROOD_FAILPOINTS names is mapped as this by the test and all that it starts: what
// a process did in its last moment is still there. Two: one may be a condition of the other.
inline constexpr size_t kArmedFailpointsMax = 2;
struct FailpointTable {
  ArmedFailpoint points[kArmedFailpointsMax];
};

}  // namespace brood
