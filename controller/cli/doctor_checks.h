// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "controller/cli/context.h"

namespace brood::cli {

enum class Health { kOk, kWarn, kFail };

// One thing that was looked at. `cure` says what to do; empty if all is well.
struct Check {
  Health health = Health::kOk;
  std::string text;
  std::string cure;
};

// Each looks at one thing and changes nothing.
std::vector<Check> CheckPrograms(const std::string& program_directory);
Check CheckStateFolder(const std::string& state);
Check CheckRuntimeFolder(const std::string& runtime);
std::vector<Check> CheckKernel();
std::vector<Check> CheckInventory(const Paths& paths);
std::vector<Check> CheckLocalAgent(const Paths& paths);

// Has the agent's program read a journal's folder, byte for byte, and print what it finds. The exit
// code.
int CheckJournal(const Context& context, std::string folder);

// All of them, in the order in which one would mend things.
std::vector<Check> CheckEverything(const Context& context);

}  // namespace brood::cli
