// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/job/exit_code.h"
#include "common/job/job_fold.h"
#include "controller/cli/by_host.h"
#include "controller/cli/commands.h"
#include "controller/cli/job_reference.h"
#include "controller/cli/json_output.h"
#include "controller/cli/signal_source.h"
#include "controller/cli/watch.h"

namespace brood::cli {
namespace {

struct Options {
  std::string hosts;
  std::vector<std::string> words;
  OutputFormat format = OutputFormat::kText;
  ResumePolicy resume;
};

int Run(const Options& options, Context& context) {
  auto jobs = FindJobs(context, options.hosts, options.words);
  if (!jobs) return context.Fail(jobs.error(), kExitBroodFailed);
  const std::vector<HostJobs> watched = ByHost(*jobs);
  std::map<std::pair<size_t, std::string>, v1::Job> ends;
  for (size_t i = 0; i < watched.size(); ++i) {
    for (const FoundJob& found : *jobs) {
      if (found.host.target != watched[i].host.target) continue;
      v1::Job& job = ends[{i, found.job.job_id()}];
      job.set_job_id(found.job.job_id());
      *job.mutable_spec() = found.job.spec();
    }
  }
  WatchOptions watch;
  watch.follow = true;
  watch.resume = options.resume;
  watch.note = [&](size_t host, const std::string& sentence) {
    context.Note(watched[host].host.name, sentence);
  };
  const WatchEnd end = Watch(watched, watch, [&](size_t host, const v1::Event& event) {
    const auto at = ends.find({host, event.job_id()});
    if (at != ends.end()) FoldEvent(event, &at->second);
  });
  if (end.signal != 0) return DieOf(end.signal);
  int code = kExitOk;
  for (size_t i = 0; i < watched.size(); ++i) {
    if (!end.hosts[i]) continue;
    context.Complain(watched[i].host.name, *end.hosts[i]);
    code = kExitBroodFailed;
  }
  for (const auto& [key, job] : ends) {
    const int one = RunExitCode(job);
    // As with `run`: the highest, but 125 wins.
    if (code != kExitBroodFailed) code = one == kExitBroodFailed ? one : std::max(code, one);
    if (options.format != OutputFormat::kText) {
      context.out << ToJsonLine(job) << "\n";
    } else if (one != 0) {
      context.err << "brood: " << watched[key.first].host.name << "/" << key.second << ": "
                  << OutcomeSentence(job) << "\n";
    }
  }
  return code;
}

}  // namespace

Command WaitCommand() {
  return {"wait", "wait until jobs have ended; exits as `run` does",
          [](CLI::App& app, Context& context) -> Action {
            auto options = std::make_shared<Options>();
            AddHostsOption(app, options->hosts);
            AddFormatOption(app, options->format, "text|jsonl");
            AddGiveUpOption(app, options->resume);
            AddJobWords(app, options->words);
            return [options, &context] { return Run(*options, context); };
          }};
}

}  // namespace brood::cli
