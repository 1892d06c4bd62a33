// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "controller/cli/by_host.h"
#include "controller/cli/commands.h"
#include "controller/cli/event_text.h"
#include "controller/cli/job_reference.h"
#include "controller/cli/job_text.h"
#include "controller/cli/json_output.h"
#include "controller/cli/signal_source.h"
#include "controller/cli/visible.h"
#include "controller/cli/watch.h"

namespace brood::cli {
namespace {

struct Options {
  std::string hosts;
  std::vector<std::string> words;
  WatchOptions watch;
  OutputFormat format = OutputFormat::kText;
};

Result<std::vector<HostJobs>> Watched(const Options& options, const Context& context) {
  if (!options.words.empty()) {
    auto jobs = FindJobs(context, options.hosts, options.words);
    if (!jobs) return jobs.error();
    return ByHost(*jobs);
  }
  auto hosts = context.RunningHosts(options.hosts);
  if (!hosts) return hosts.error();
  std::vector<HostJobs> all;
  for (const HostAddress& host : *hosts) all.push_back({host, {}});
  return all;
}

int Run(const Options& options, Context& context) {
  auto watched = Watched(options, context);
  if (!watched) return context.Fail(watched.error(), kExitFailed);
  if (!options.watch.resume_token.empty() && watched->size() != 1) {
    return context.Fail(FieldError("--after", "a resume token is one host's; name one host"),
                        kExitUsage);
  }
  WatchOptions watch = options.watch;
  watch.note = [&](size_t host, const std::string& sentence) {
    context.Note((*watched)[host].host.name, sentence);
  };
  const WatchEnd end = Watch(*watched, watch, [&](size_t host, const v1::Event& event) {
    if (options.format == OutputFormat::kText) {
      context.out << EventLine((*watched)[host].host.name, event) << "\n";
    } else {
      context.out << ToJsonLine(event, Fields::kAll) << "\n";
    }
    if (options.watch.follow) context.out << std::flush;
  });
  context.out << std::flush;
  int code = kExitOk;
  for (size_t i = 0; i < watched->size(); ++i) {
    const std::string& name = (*watched)[i].host.name;
    if (i < end.hosts.size() && end.hosts[i] && end.signal == 0) {
      context.Complain(name, *end.hosts[i]);
      code = kExitFailed;
    }
    if (!end.resume_tokens[i].empty()) {
      context.err << "brood: " << name << ": to go on from here: --after " << end.resume_tokens[i]
                  << "\n";
    }
  }
  context.err << std::flush;
  return end.signal != 0 ? DieOf(end.signal) : code;
}

}  // namespace

Command EventsCommand() {
  return {"events", "print events, of jobs or of whole hosts",
          [](CLI::App& app, Context& context) -> Action {
            auto options = std::make_shared<Options>();
            AddHostsOption(app, options->hosts);
            AddFormatOption(app, options->format, "text|json|jsonl");
            app.add_flag("-f,--follow", options->watch.follow,
                         "go on with those to come, for jobs until they end");
            app.add_option("--after", options->watch.resume_token, "start after this point")
                ->type_name("TOKEN");
            app.add_flag("--bytes", options->watch.include_output, "with the bytes of output");
            AddGiveUpOption(app, options->watch.resume);
            AddJobWords(app, options->words, false);
            return [options, &context] { return Run(*options, context); };
          }};
}

}  // namespace brood::cli
