// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "controller/experiment/expression.h"
#include "controller/experiment/fact.h"

namespace brood {

// What an expression comes to. A comparison with something unknown is unknown;
// `false and unknown` is false, `true or unknown` true.
Fact Evaluate(const Observations& seen, const Expression& expression);

enum class Truth { kTrue, kFalse, kUnknown };

// A check holds if it is true, or a list of truths that are all true and at least one.
struct Checked {
  Truth truth = Truth::kUnknown;
  std::string why;                    // if unknown
  std::vector<std::string> evidence;  // "kid.exit_code = 3", one for each path in it
  std::vector<uint64_t> cursors;      // of the events that it looked at
};
Checked Check(const Observations& seen, const Expression& expression);

}  // namespace brood
