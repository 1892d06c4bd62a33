// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "brood/v1/job_service.pb.h"
#include "common/base/error.h"
#include "controller/client/connection.h"

namespace brood {

// A job that was run to its last event, as its events told it.
struct RanJob {
  v1::Job job;
  // What its call returned, with all digits.
  std::optional<v1::Value> returned;
  // What it wrote to its standard output.
  std::string out;
};

// Runs one job to its last event, and checks the stream against the rules of
// docs/events.md on the way. An error means that it was refused, that the stream
// broke, or that it was no valid stream; a job that failed is no error.
Result<RanJob> RunOneJob(Connection& connection, v1::JobSubmission submission);

// The spec of a command, and of a call with words as arguments.
v1::JobSpec CommandSpec(const std::vector<std::string>& argv);
v1::JobSpec CallSpec(const std::string& task, const std::vector<std::string>& words, v1::Mode mode);

}  // namespace brood
