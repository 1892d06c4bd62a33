// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "controller/cli/job_reference.h"

namespace brood::cli {

// The jobs of one host.
struct HostJobs {
  HostAddress host;
  std::vector<std::string> ids;
};

// The jobs by host, in the order in which the hosts come first.
std::vector<HostJobs> ByHost(const std::vector<FoundJob>& jobs);

// Only the hosts.
std::vector<HostAddress> HostsOf(const std::vector<HostJobs>& jobs);

}  // namespace brood::cli
