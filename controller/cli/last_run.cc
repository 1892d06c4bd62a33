// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/last_run.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "common/base/paths.h"

namespace brood::cli {
namespace {

std::string PathIn(const std::string& state_directory) { return state_directory + "/last-run"; }

}  // namespace

Result<LastRun> LoadLastRun(const std::string& state_directory) {
  LastRun run;
  std::ifstream file(PathIn(state_directory));
  std::getline(file, run.run_id);
  for (std::string host; std::getline(file, host);) run.hosts.push_back(host);
  if (run.run_id.empty() || run.hosts.empty()) {
    return Error{ErrorCode::kNotFound, "NO_LAST_RUN",
                 "there is no last run yet; `brood run -- hostname` makes one", "last"};
  }
  return run;
}

void SaveLastRun(const std::string& state_directory, const LastRun& run) {
  if (MakePrivateDirectory(state_directory)) return;
  // Written beside and renamed, so that a reader never sees half of it.
  const std::string path = PathIn(state_directory);
  const std::string fresh = path + "." + std::to_string(::getpid());
  {
    std::ofstream file(fresh);
    file << run.run_id << '\n';
    for (const std::string& host : run.hosts) file << host << '\n';
    if (!file.flush()) {
      ::unlink(fresh.c_str());
      return;
    }
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) ::unlink(fresh.c_str());
}

}  // namespace brood::cli
