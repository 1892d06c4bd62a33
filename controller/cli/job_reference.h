// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "brood/v1/job.pb.h"
#include "common/base/error.h"
#include "controller/cli/context.h"

namespace brood::cli {

// A job that was found, and the host that has it.
struct FoundJob {
  HostAddress host;
  v1::Job job;
};

// The jobs that people's words stand for, in the order of the words, each once:
//
//   HOST/ID   on that host; "local" is the local agent
//   ID        on the hosts of `set`; without one on the local agent, then on those of
//             the last run, then on every host of the inventory
//   last      the last run's
//
// An ID may be the beginning of one job's id, or of one run's: then all jobs of that run
// are meant, as they are by a run's id on several hosts. NOT_FOUND, reason NO_SUCH_JOB,
// names the word and where it was looked for; INVALID_ARGUMENT, reason AMBIGUOUS_ID,
// names some candidates; UNAVAILABLE if a host that had to be asked does not answer.
Result<std::vector<FoundJob>> FindJobs(const Context& context, const std::string& set,
                                       const std::vector<std::string>& words);

// Declares the words on a command: ID…, at least one.
void AddJobWords(CLI::App& app, std::vector<std::string>& words, bool required = true);

// "HOST/ID", as printed everywhere.
std::string JobName(const FoundJob& found);

}  // namespace brood::cli
