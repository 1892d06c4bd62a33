// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/error.h"

namespace brood::cli {

// What `last` stands for: the newest run of this user, kept in STATE/last-run.
struct LastRun {
  std::string run_id;
  std::vector<std::string> hosts;  // by name; "local" for the local agent
};

// NOT_FOUND, reason NO_LAST_RUN, if there was none yet.
Result<LastRun> LoadLastRun(const std::string& state_directory);

// Best effort: a run must not fail because it cannot be remembered.
void SaveLastRun(const std::string& state_directory, const LastRun& run);

}  // namespace brood::cli
