// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace brood {

// What a job's environment starts from: the agent's own, without brood's
// variables (a job that calls brood means its own user's) and without the
// loader's (LD_*), as NAME=VALUE.
std::vector<std::string> DefaultEnvironment();

// Where a job starts: the home directory, "/" if there is none.
std::string DefaultWorkingDirectory();

}  // namespace brood
