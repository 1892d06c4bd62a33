// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "controller/cli/commands.h"
#include "controller/cli/job_reference.h"
#include "controller/cli/job_text.h"
#include "controller/cli/json_output.h"
#include "controller/cli/table.h"
#include "controller/client/each_host.h"

namespace brood::cli {
namespace {

struct Options {
  std::string hosts;
  std::string run;
  bool live = false;
  int most = 100;
  OutputFormat format = OutputFormat::kTable;
};

// The newest jobs of a host that are asked for, at most `most`.
Status ListOn(Connection& connection, const Options& options, std::vector<v1::Job>& jobs) {
  v1::ListJobsRequest request;
  request.set_run_id(options.run);
  request.set_page_size(std::min(options.most, 1000));
  do {
    auto response = connection.ListJobs(request);
    if (!response) return response.error();
    for (v1::Job& job : *response->mutable_jobs()) {
      if (options.live && job.state() == v1::JOB_STATE_ENDED) continue;
      if (jobs.size() < static_cast<size_t>(options.most)) jobs.push_back(std::move(job));
    }
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty() && jobs.size() < static_cast<size_t>(options.most));
  return Ok();
}

void PrintTable(const std::vector<FoundJob>& jobs, bool wide, Context& context) {
  std::vector<std::string> heads = {"JOB", "STATE", "MODE", "PID", "TIME", "END", "WHAT"};
  if (wide) heads.insert(heads.begin() + 4, {"TID", "PPID", "PARENT", "RECEIVED"});
  Table table(heads);
  for (const FoundJob& found : jobs) {
    const v1::Job& job = found.job;
    std::vector<std::string> row = {
        JobName(found),       StateText(job),
        ModeText(job.mode()), job.has_pid() ? std::to_string(job.pid()) : "",
        RunTimeText(job),     EndText(job),
        WhatText(job.spec())};
    if (wide) {
      row.insert(row.begin() + 4, {job.has_tid() ? std::to_string(job.tid()) : "",
                                   job.has_ppid() ? std::to_string(job.ppid()) : "", job.parent(),
                                   TimeText(job.receive_time())});
    }
    table.Add(row);
  }
  table.Print(context.out);
}

void Print(const std::vector<FoundJob>& jobs, const Options& options, Context& context) {
  v1::ListJobsResponse all;
  switch (options.format) {
    case OutputFormat::kJson:
      for (const FoundJob& found : jobs) *all.add_jobs() = found.job;
      context.out << ToJsonText(all);
      break;
    case OutputFormat::kJsonLines:
      for (const FoundJob& found : jobs) context.out << ToJsonLine(found.job) << "\n";
      break;
    case OutputFormat::kName:
      for (const FoundJob& found : jobs) context.out << JobName(found) << "\n";
      break;
    default:
      PrintTable(jobs, options.format == OutputFormat::kWide, context);
  }
}

int Run(const Options& options, Context& context) {
  auto hosts = context.RunningHosts(options.hosts);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  std::vector<std::vector<v1::Job>> jobs(hosts->size());
  const auto answers = EachHost(*hosts, [&](size_t i, Connection& connection) {
    return ListOn(connection, options, jobs[i]);
  });
  int code = kExitOk;
  std::vector<FoundJob> all;
  for (size_t i = 0; i < hosts->size(); ++i) {
    if (answers[i]) {
      context.Complain((*hosts)[i].name, *answers[i]);
      code = kExitFailed;
    }
    for (v1::Job& job : jobs[i]) all.push_back({(*hosts)[i], std::move(job)});
  }
  Print(all, options, context);
  return code;
}

}  // namespace

Command PsCommand() {
  return {"ps", "list jobs, the newest first", [](CLI::App& app, Context& context) -> Action {
            auto options = std::make_shared<Options>();
            AddHostsOption(app, options->hosts);
            AddFormatOption(app, options->format, "table|wide|json|jsonl|name");
            app.add_flag("-l,--live", options->live, "only those that have not ended");
            app.add_option("--run", options->run, "only those of this run")->type_name("ID");
            app.add_option("-n,--most", options->most, "so many of each host, 100 unless told")
                ->type_name("N")
                ->check(CLI::Range(1, 1'000'000));
            return [options, &context] { return Run(*options, context); };
          }};
}

}  // namespace brood::cli
