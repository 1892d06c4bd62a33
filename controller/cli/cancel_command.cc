// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "common/job/duration.h"
#include "controller/cli/answers.h"
#include "controller/cli/by_host.h"
#include "controller/cli/commands.h"
#include "controller/cli/job_reference.h"

namespace brood::cli {
namespace {

struct Options {
  std::string hosts;
  std::vector<std::string> words;
  std::string grace;
};

int Run(const Options& options, Context& context) {
  v1::CancelJobsRequest request;
  request.set_by("brood cancel");
  if (!options.grace.empty()) {
    auto grace = ParseDuration(options.grace, "--grace");
    if (!grace) return context.Fail(grace.error(), kExitUsage);
    *request.mutable_grace() = *grace;
  }
  auto jobs = FindJobs(context, options.hosts, options.words);
  if (!jobs) return context.Fail(jobs.error(), kExitFailed);
  return AskForJobs(*jobs, context, [&](Connection& connection, const HostJobs& of) {
    v1::CancelJobsRequest part = request;
    for (const std::string& id : of.ids) part.add_job_ids(id);
    return AnswersOf(connection.CancelJobs(part));
  });
}

}  // namespace

Command CancelCommand() {
  return {
      "cancel", "ask for the end of jobs: SIGTERM, after a grace SIGKILL",
      [](CLI::App& app, Context& context) -> Action {
        auto options = std::make_shared<Options>();
        AddHostsOption(app, options->hosts);
        app.add_option("--grace", options->grace, "from SIGTERM to SIGKILL")->type_name("DURATION");
        AddJobWords(app, options->words);
        return [options, &context] { return Run(*options, context); };
      }};
}

}  // namespace brood::cli
