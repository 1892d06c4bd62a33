// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "controller/experiment/experiment.h"
#include "controller/experiment/verdict.h"

namespace brood::cli {

// One experiment and what it came to on each host, in the order of the hosts.
struct ExperimentResult {
  const Experiment* experiment = nullptr;
  std::vector<HostVerdict> hosts;
};

// The worst of all.
Verdict WorstOf(const std::vector<ExperimentResult>& results);

// A table of verdicts, and why those are as they are that did not pass; with `evidence`, all that
// each check found.
void PrintTable(const std::vector<ExperimentResult>& results, bool evidence, std::ostream& out);
void PrintMarkdown(const std::vector<ExperimentResult>& results, std::ostream& out);
// {"C1": {"title", "verdict", "evidence": [...], "resumeTokens": {HOST: {"first", "last"}},
// "hosts": {...}}, …}
void PrintJson(const std::vector<ExperimentResult>& results, std::ostream& out);
// One test suite per host, one test case per claim.
void PrintJUnit(const std::vector<ExperimentResult>& results, std::ostream& out);

// What an experiment does and claims, in words.
void PrintExplanation(const Experiment& experiment, std::ostream& out);

}  // namespace brood::cli
