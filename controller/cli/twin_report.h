// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "controller/lab/twin_facts.h"

namespace brood::cli {

// One line of the table of a twin run: what it is about, and what was read of each.
struct TwinLine {
  std::string what;
  std::string thread;
  std::string fork;
};

// The table of one host: of its last round, with medians over all. "unknown" where
// nothing was read. Pure.
std::vector<TwinLine> TwinLines(const TwinFacts& facts);

// A host's table under its head, and, once all was read, a sentence per difference.
void PrintTwin(const TwinFacts& facts, bool with_findings, std::ostream& out);

// -o json: {"hosts":[…]} with all rounds; null where nothing was read.
void PrintTwinJson(const std::vector<TwinFacts>& hosts, std::ostream& out);

}  // namespace brood::cli
