// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "brood/v1/job.pb.h"
#include "brood/v1/job_service.pb.h"
#include "tests/testing/agent_process.h"

namespace brood::bench {

// The submission of one job with that id.
using Make = std::function<v1::JobSubmission(const std::string& id)>;

// Jobs per second through one RunJobs stream, batches of 64, all events delivered; 0 if the
// stream broke.
double Throughput(testing::AgentProcess* agent, const std::string& prefix, int count,
                  const Make& make);

}  // namespace brood::bench
