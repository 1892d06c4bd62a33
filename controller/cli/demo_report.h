// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "controller/lab/demo_facts.h"

namespace brood::cli {

// Prints what was read as tables, and each claim with whether it held. True if all did.
bool PrintDemo(const std::vector<DemoFacts>& hosts, const std::string& text, std::ostream& out);

// What to say when nothing is left of the demo: what to try next, with the folder of `brood`.
void PrintDemoEnd(const std::string& program_directory, std::ostream& out);

}  // namespace brood::cli
