// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <nlohmann/json.hpp>

#include "controller/cli/commands.h"
#include "controller/cli/gather.h"
#include "controller/cli/host_tree.h"

namespace brood::cli {
namespace {

struct Options {
  std::string set;
  OutputFormat format = OutputFormat::kText;
};

// All jobs that have not ended, page by page.
Status ReadJobs(Connection& connection, HostReading* reading) {
  for (const v1::JobState state : {v1::JOB_STATE_QUEUED, v1::JOB_STATE_STARTING,
                                   v1::JOB_STATE_RUNNING, v1::JOB_STATE_STOPPED}) {
    v1::ListJobsRequest request;
    request.set_page_size(1000);
    request.set_state(state);
    do {
      const Result<v1::ListJobsResponse> page = connection.ListJobs(request);
      if (!page) return page.error();
      reading->jobs.insert(reading->jobs.end(), page->jobs().begin(), page->jobs().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
  }
  return Ok();
}

Result<HostReading> Read(Connection& connection) {
  HostReading reading;
  reading.name = connection.address().name;
  const Result<v1::GetHostResponse> host = connection.GetHost({});
  if (!host) return host.error();
  reading.host = host->host();
  const Result<v1::ListParentsResponse> parents = connection.ListParents({});
  if (!parents) return parents.error();
  reading.parents.assign(parents->parents().begin(), parents->parents().end());
  if (Status status = ReadJobs(connection, &reading)) return *status;
  // What the kernel says beats what was reported, where it can be asked: at a unix socket
  // whose agent has the pid that it says it has.
  if (connection.address().target.rfind("unix:", 0) == 0) {
    ProcessTable table = ProcessTable::Read();
    const Process* agent = table.Find(reading.host.agent_pid());
    if (agent != nullptr && agent->name == "brood-agent") reading.processes = std::move(table);
  }
  return reading;
}

int PrintTree(const Options& options, Context& context) {
  const Result<std::vector<HostAddress>> hosts = context.RunningHosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  const std::function<Result<HostReading>(Connection&)> ask = Read;
  const auto readings = Gather(context, *hosts, ask);
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::optional<HostReading>& reading : readings) {
    if (!reading) continue;
    const TreeNode root = BuildTree(*reading);
    if (options.format == OutputFormat::kJson) {
      all.push_back(TreeToJson(root));
    } else {
      PrintTreeText(root, context.out);
    }
  }
  if (options.format == OutputFormat::kJson) {
    const nlohmann::ordered_json& shown = hosts->size() == 1 && all.size() == 1 ? all[0] : all;
    context.out << shown.dump(1) << "\n";
  }
  return AllAnswered(readings) ? kExitOk : kExitFailed;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  AddHostsOption(app, options->set);
  AddFormatOption(app, options->format, "text|json");
  return [options, &context] { return PrintTree(*options, context); };
}

}  // namespace

Command TreeCommand() {
  return {"tree", "show agent, supervisor, parents, jobs and threads, by who is whose parent",
          Declare};
}

}  // namespace brood::cli
