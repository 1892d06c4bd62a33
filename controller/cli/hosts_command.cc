// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <nlohmann/json.hpp>

#include "controller/cli/commands.h"
#include "controller/cli/gather.h"
#include "controller/cli/table.h"
#include "controller/client/inventory.h"
#include "controller/client/local_agent.h"

namespace brood::cli {
namespace {

struct Options {
  std::string set;
  OutputFormat format = OutputFormat::kTable;
};

// Those of the set; without one all of the inventory, after the local agent if it runs.
Result<std::vector<HostAddress>> HostsMeant(const Options& options, const Context& context) {
  const Result<Inventory> inventory = Inventory::Load(context.paths);
  if (!inventory) return inventory.error();
  if (!options.set.empty()) return inventory->Select(options.set);
  std::vector<HostAddress> hosts;
  if (LocalAgentListens(context.paths)) hosts.push_back(LocalAgentAddress(context.paths));
  for (const auto& [name, host] : inventory->hosts()) hosts.push_back(host);
  return hosts;
}

void PrintTable(const std::vector<HostAddress>& hosts,
                const std::vector<std::optional<v1::GetHostResponse>>& answers, bool wide,
                std::ostream& out) {
  std::vector<std::string> heads = {"HOST", "STATE", "PROCESSES", "THREADS", "QUEUED", "VERSION"};
  if (wide)
    heads.insert(heads.end(), {"CPUS", "AGENT", "SUPERVISOR", "LIMITS BY", "PLATFORM", "ADDRESS",
                               "EVENTS", "JOURNAL"});
  Table table(heads);
  for (size_t column = 2; column < 5; ++column) table.AlignRight(column);
  for (size_t i = 0; i < hosts.size(); ++i) {
    std::vector<std::string> row = {hosts[i].name, "UNREACHABLE", "", "", "", ""};
    std::vector<std::string> more = {"", "", "", "", "", hosts[i].target, "", ""};
    if (answers[i]) {
      const v1::Host& host = answers[i]->host();
      row = {hosts[i].name,
             ShortName(v1::HostState_Name(host.state()), "HOST_STATE_"),
             std::to_string(host.processes()) + "/" + std::to_string(host.process_slots()),
             std::to_string(host.threads()) + "/" + std::to_string(host.thread_slots()),
             std::to_string(host.queued()) + "/" + std::to_string(host.queue_limit()),
             host.version()};
      more = {std::to_string(host.cpus()),
              std::to_string(host.agent_pid()),
              std::to_string(host.supervisor_pid()),
              host.limit_controllers().empty() ? "rlimit" : host.limit_controllers(),
              host.platform(),
              hosts[i].target,
              std::to_string(host.journal_oldest()) + "-" + std::to_string(host.journal_head()),
              host.journal_problem().empty() ? "ok" : host.journal_problem()};
    }
    if (wide) row.insert(row.end(), more.begin(), more.end());
    table.Add(row);
  }
  table.Print(out);
}

void PrintJson(const std::vector<HostAddress>& hosts,
               const std::vector<std::optional<v1::GetHostResponse>>& answers, std::ostream& out) {
  nlohmann::ordered_json all = {{"hosts", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < hosts.size(); ++i) {
    nlohmann::ordered_json host = {{"name", hosts[i].name}};
    if (answers[i]) {
      host.update(nlohmann::ordered_json::parse(ToJsonLine(answers[i]->host(), Fields::kAll),
                                                nullptr, false));
      // Two names may differ: what we call it, and what it calls itself.
      host["agentName"] = answers[i]->host().name();
      host["name"] = hosts[i].name;
    }
    host["address"] = hosts[i].target;
    host["reachable"] = answers[i].has_value();
    all["hosts"].push_back(std::move(host));
  }
  out << all.dump(1) << "\n";
}

int PrintHosts(const Options& options, Context& context) {
  const Result<std::vector<HostAddress>> hosts = HostsMeant(options, context);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  if (options.format == OutputFormat::kName) {
    for (const HostAddress& host : *hosts) context.out << host.name << "\n";
    return kExitOk;
  }
  if (hosts->empty()) {
    context.err
        << "brood: no host is known and no local agent runs; `brood run -- hostname` starts "
           "one, `brood lab up` makes some, BROOD_HOSTS names a file of them\n";
    if (options.format != OutputFormat::kJson) return kExitOk;
  }
  const std::function<Result<v1::GetHostResponse>(Connection&)> ask = [](Connection& connection) {
    return connection.GetHost({});
  };
  const auto answers = Gather(context, *hosts, ask);
  if (options.format == OutputFormat::kJson) {
    PrintJson(*hosts, answers, context.out);
  } else {
    PrintTable(*hosts, answers, options.format == OutputFormat::kWide, context.out);
  }
  return AllAnswered(answers) ? kExitOk : kExitFailed;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  AddHostsOption(app, options->set);
  AddFormatOption(app, options->format, "name|table|wide|json");
  return [options, &context] { return PrintHosts(*options, context); };
}

}  // namespace

Command HostsCommand() { return {"hosts", "list hosts, and what they are doing", Declare}; }

}  // namespace brood::cli
