// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controller/experiment/evaluator.h"
#include "controller/experiment/experiment.h"
#include "controller/experiment/observations.h"

namespace brood {

// Only PASSED is good: what is not known passes no claim.
enum class Verdict { kPassed, kFailed, kUnknown, kNotRun };
const char* VerdictWord(Verdict verdict);

// The worse of two: FAILED before NOT_RUN before UNKNOWN before PASSED.
Verdict Worse(Verdict one, Verdict other);

struct ClaimVerdict {
  Verdict verdict = Verdict::kUnknown;
  std::string why;  // of a check that did not hold
  std::vector<Checked> checks;
};

// One experiment on one host.
struct HostVerdict {
  std::string host;
  Verdict verdict = Verdict::kUnknown;  // the worst of its claims
  std::string why;
  std::vector<ClaimVerdict> claims;                          // in the order of the experiment's
  std::vector<std::pair<std::string, std::string>> figures;  // name, value in words
  std::string first_token;
  std::string last_token;
};

// Predicted against observed. Pure: the same observations give the same verdicts.
HostVerdict Judge(const Experiment& experiment, const Observations& seen);

}  // namespace brood
