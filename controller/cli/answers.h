// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "brood/v1/job_service.pb.h"
#include "controller/cli/by_host.h"
#include "controller/cli/context.h"
#include "controller/client/connection.h"

namespace brood::cli {

using JobAnswers = std::vector<v1::JobAnswer>;

// The answers of a cancel or a signal.
template <typename Response>
Result<JobAnswers> AnswersOf(Result<Response> response) {
  if (!response) return response.error();
  return JobAnswers(response->answers().begin(), response->answers().end());
}

// Asks every host for its jobs, at most 1,024 at a time; says on `err` which were
// refused, and returns the exit code: 1 if any was.
int AskForJobs(const std::vector<FoundJob>& jobs, const Context& context,
               const std::function<Result<JobAnswers>(Connection&, const HostJobs&)>& ask);

}  // namespace brood::cli
