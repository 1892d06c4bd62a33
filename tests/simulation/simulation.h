// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/sometimes.h"

namespace brood::simulation {

// What one run came to.
struct Outcome {
  std::vector<std::string> breaches;  // of what brood promises; empty: it kept all
  uint64_t trace_hash = 0;            // the same for the same seed
  uint64_t steps = 0;
  uint64_t jobs = 0;
  uint64_t events = 0;
};

// Runs one host with its clients through the weather of this seed, then judges what is left. All
// that happened is counted in `coverage`, and printed if it is to be shown.
Outcome Simulate(uint64_t seed, bool show, Coverage* coverage);

}  // namespace brood::simulation
