// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controller/cli/commands.h"
#include "controller/cli/job_reference.h"
#include "controller/cli/job_text.h"
#include "controller/cli/json_output.h"
#include "controller/cli/visible.h"

namespace brood::cli {
namespace {

struct Options {
  std::string hosts;
  std::vector<std::string> words;
  OutputFormat format = OutputFormat::kText;
};

std::string Number(bool known, int64_t number) { return known ? std::to_string(number) : ""; }

// One "key: value" a line; what is not known is left out.
void PrintText(const FoundJob& found, Context& context) {
  const v1::Job& job = found.job;
  const std::vector<std::pair<const char*, std::string>> lines = {
      {"job", JobName(found)},
      {"run", job.spec().run_id()},
      {"what", WhatText(job.spec())},
      {"state", StateText(job)},
      {"mode", ModeText(job.mode())},
      {"parent", job.parent()},
      {"pid", Number(job.has_pid(), job.pid())},
      {"tid", Number(job.has_tid(), job.tid())},
      {"ppid", Number(job.has_ppid(), job.ppid())},
      {"queue position",
       Number(job.queue_position() > 0, static_cast<int64_t>(job.queue_position()))},
      {"progress", job.has_progress() && job.state() != v1::JOB_STATE_ENDED
                       ? std::to_string(static_cast<int>(job.progress() * 100)) + " %"
                       : ""},
      {"end", EndText(job)},
      {"exit code", Number(job.has_exit_code(), job.exit_code())},
      {"received", TimeText(job.receive_time())},
      {"started", TimeText(job.start_time())},
      {"ended", TimeText(job.end_time())},
      {"ran", RunTimeText(job)},
      {"stdout", std::to_string(job.stdout_bytes()) + " bytes"},
      {"stderr", std::to_string(job.stderr_bytes()) + " bytes"},
  };
  for (const auto& [key, value] : lines) {
    if (!value.empty()) context.out << key << ": " << Visible(value) << "\n";
  }
  for (const auto& [key, value] : job.spec().labels()) {
    context.out << "label " << key << ": " << Visible(value) << "\n";
  }
}

int Run(const Options& options, Context& context) {
  auto jobs = FindJobs(context, options.hosts, options.words);
  if (!jobs) return context.Fail(jobs.error(), kExitFailed);
  const bool array = options.format == OutputFormat::kJson && jobs->size() > 1;
  if (array) context.out << "[\n";
  for (size_t i = 0; i < jobs->size(); ++i) {
    const FoundJob& found = (*jobs)[i];
    if (options.format == OutputFormat::kText) {
      if (i > 0) context.out << "\n";
      PrintText(found, context);
    } else if (options.format == OutputFormat::kName) {
      context.out << JobName(found) << "\n";
    } else if (options.format == OutputFormat::kJsonLines) {
      context.out << ToJsonLine(found.job) << "\n";
    } else {
      context.out << (i > 0 ? ",\n" : "") << ToJsonText(found.job);
    }
  }
  if (array) context.out << "]\n";
  return kExitOk;
}

}  // namespace

Command ShowCommand() {
  return {"show", "show all that is known of jobs", [](CLI::App& app, Context& context) -> Action {
            auto options = std::make_shared<Options>();
            AddHostsOption(app, options->hosts);
            AddFormatOption(app, options->format, "text|json|jsonl|name");
            AddJobWords(app, options->words);
            return [options, &context] { return Run(*options, context); };
          }};
}

}  // namespace brood::cli
