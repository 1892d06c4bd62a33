// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/by_host.h"

#include <algorithm>

namespace brood::cli {

std::vector<HostJobs> ByHost(const std::vector<FoundJob>& jobs) {
  std::vector<HostJobs> all;
  for (const FoundJob& found : jobs) {
    auto at = std::find_if(all.begin(), all.end(), [&](const HostJobs& one) {
      return one.host.target == found.host.target;
    });
    if (at == all.end()) at = all.insert(all.end(), HostJobs{found.host, {}});
    at->ids.push_back(found.job.job_id());
  }
  return all;
}

std::vector<HostAddress> HostsOf(const std::vector<HostJobs>& jobs) {
  std::vector<HostAddress> hosts;
  for (const HostJobs& one : jobs) hosts.push_back(one.host);
  return hosts;
}

}  // namespace brood::cli
