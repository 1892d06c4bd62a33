// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "controller/cli/answers.h"
#include "controller/cli/by_host.h"
#include "controller/cli/commands.h"
#include "controller/cli/job_reference.h"

namespace brood::cli {
namespace {

struct Options {
  std::string hosts;
  std::vector<std::string> words;
  std::string signal = "TERM";
  bool leader = false;
};

// "TERM", "SIGTERM", "term" or "15"; 0 if it is none.
int SignalNumber(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (text.rfind("SIG", 0) == 0) text.erase(0, 3);
  if (!text.empty() && text.size() <= 2 &&
      text.find_first_not_of("0123456789") == std::string::npos) {
    const int number = std::atoi(text.c_str());
    return number < NSIG ? number : 0;
  }
  for (int number = 1; number < NSIG; ++number) {
    const char* const name = ::sigabbrev_np(number);
    if (name != nullptr && text == name) return number;
  }
  return 0;
}

int Run(const Options& options, Context& context) {
  const int signal = SignalNumber(options.signal);
  if (signal == 0) {
    return context.Fail(
        FieldError("-s", "'" + options.signal + "' is no signal; write TERM, KILL, 15 or the like"),
        kExitUsage);
  }
  auto jobs = FindJobs(context, options.hosts, options.words);
  if (!jobs) return context.Fail(jobs.error(), kExitFailed);
  return AskForJobs(*jobs, context, [&](Connection& connection, const HostJobs& of) {
    v1::SignalJobsRequest request;
    for (const std::string& id : of.ids) request.add_job_ids(id);
    request.set_signal(signal);
    request.set_whole_group(!options.leader);
    return AnswersOf(connection.SignalJobs(request));
  });
}

}  // namespace

Command KillCommand() {
  return {"kill", "send a signal to the processes of jobs",
          [](CLI::App& app, Context& context) -> Action {
            auto options = std::make_shared<Options>();
            AddHostsOption(app, options->hosts);
            app.add_option("-s,--signal", options->signal, "TERM unless told")->type_name("SIG");
            app.add_flag("--leader", options->leader,
                         "only to the job's first process, not to its process group");
            AddJobWords(app, options->words);
            return [options, &context] { return Run(*options, context); };
          }};
}

}  // namespace brood::cli
