// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "controller/cli/command.h"
#include "controller/cli/context.h"

namespace brood::cli {

// Finds the command that the first word names, reads its words and runs it; returns
// the exit code. Words that cannot be read: a sentence on `context.err` and
// kExitUsage, for `run` 125. --help and an empty list of words print help.
int Dispatch(const std::vector<Command>& commands, std::vector<std::string> arguments,
             Context& context);

}  // namespace brood::cli
