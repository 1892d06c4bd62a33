// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "controller/cli/commands.h"
#include "controller/cli/gather.h"
#include "controller/cli/table.h"
#include "controller/lab/lab.h"

namespace brood::cli {
namespace {

// Enough to see that jobs spread, few enough for any laptop.
constexpr int kHostsDefault = 3;
// A lab is for seeing a thousand children at once; a real host's default is for its work.
constexpr char kSlotsDefault[] = "2048";

struct Options {
  int hosts = kHostsDefault;
  std::string slots = kSlotsDefault;
  std::string thread_slots = kSlotsDefault;
  OutputFormat format = OutputFormat::kTable;
};

Lab LabOf(const Context& context) { return Lab(context.paths, context.program_directory); }

int Up(const Options& options, Context& context) {
  const std::vector<std::string> arguments = {"--slots", options.slots, "--thread-slots",
                                              options.thread_slots};
  const Result<std::vector<HostAddress>> hosts = LabOf(context).Up(options.hosts, arguments);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  for (const HostAddress& host : *hosts) context.out << host.name << "\n";
  context.err << "brood: " << hosts->size() << " hosts run here; try: brood run -w @lab -- hostname"
              << "\n";
  return kExitOk;
}

// What is known of one host of the lab.
struct Standing {
  v1::Host host;
  int parents = 0;
};

int PrintStatus(const Options& options, Context& context) {
  const Lab lab = LabOf(context);
  const Result<std::vector<HostAddress>> hosts = lab.Hosts();
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  if (hosts->empty() && options.format != OutputFormat::kJson) {
    context.err << "brood: there is no lab; `brood lab up` makes one\n";
    return kExitFailed;
  }
  const std::function<Result<Standing>(Connection&)> ask =
      [](Connection& connection) -> Result<Standing> {
    const Result<v1::GetHostResponse> host = connection.GetHost({});
    if (!host) return host.error();
    const Result<v1::ListParentsResponse> parents = connection.ListParents({});
    if (!parents) return parents.error();
    Standing standing{host->host(), 0};
    for (const v1::Parent& parent : parents->parents())
      standing.parents += parent.state() == v1::PARENT_STATE_RUNNING ? 1 : 0;
    return standing;
  };
  const auto standings = Gather(context, *hosts, ask);

  nlohmann::ordered_json json = {{"hosts", nlohmann::ordered_json::array()}};
  Table table({"HOST", "STATE", "AGENT", "SUPERVISOR", "PARENTS", "PROCESSES", "THREADS", "QUEUED",
               "ADDRESS"});
  for (size_t column = 2; column < 8; ++column) table.AlignRight(column);
  for (size_t i = 0; i < hosts->size(); ++i) {
    const std::string& name = (*hosts)[i].name;
    const std::string& target = (*hosts)[i].target;
    if (!standings[i]) {
      table.Add({name, "DOWN", "", "", "", "", "", "", target});
      json["hosts"].push_back({{"name", name}, {"running", false}, {"address", target}});
      continue;
    }
    const v1::Host& host = standings[i]->host;
    const std::string state = ShortName(v1::HostState_Name(host.state()), "HOST_STATE_");
    table.Add({name, state, std::to_string(host.agent_pid()), std::to_string(host.supervisor_pid()),
               std::to_string(standings[i]->parents), std::to_string(host.processes()),
               std::to_string(host.threads()), std::to_string(host.queued()), target});
    json["hosts"].push_back({{"name", name},
                             {"running", true},
                             {"state", state},
                             {"pid", host.agent_pid()},
                             {"supervisorPid", host.supervisor_pid()},
                             {"parents", standings[i]->parents},
                             {"processes", host.processes()},
                             {"threads", host.threads()},
                             {"queued", host.queued()},
                             {"address", target}});
  }
  if (options.format == OutputFormat::kJson) {
    context.out << json.dump(1) << "\n";
  } else {
    table.Print(context.out);
  }
  return !hosts->empty() && AllAnswered(standings) ? kExitOk : kExitFailed;
}

int Down(Context& context) {
  const Result<Lab::Ended> ended = LabOf(context).Down();
  if (!ended) return context.Fail(ended.error(), kExitFailed);
  for (const Process& process : ended->killed) {
    context.err << "brood: " << process.name << " (pid " << process.pid
                << ") did not end by itself and was killed\n";
  }
  for (const Process& process : ended->left) {
    context.err << "brood: " << process.name << " (pid " << process.pid << ") is still there\n";
  }
  if (!ended->left.empty()) return kExitFailed;
  if (ended->hosts == 0) {
    context.err << "brood: there was no lab\n";
    return kExitOk;
  }
  context.err << "brood: " << ended->hosts << " hosts ended with " << ended->jobs
              << " running jobs; no process of theirs is left\n";
  return kExitOk;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  CLI::App* up = app.add_subcommand("up", "start host1 to hostN here; those that run stay");
  up->add_option("-n,--hosts", options->hosts, "how many (3)")->type_name("N");
  up->add_option("--slots", options->slots, "jobs that each may run as processes")->type_name("N");
  up->add_option("--thread-slots", options->thread_slots, "jobs that each may run as threads")
      ->type_name("N");
  CLI::App* status = app.add_subcommand("status", "show the lab's hosts");
  AddFormatOption(*status, options->format, "table|json");
  app.add_subcommand("down", "end the lab's hosts with all that runs on them");
  return [options, up, status, &context] {
    if (up->parsed()) return Up(*options, context);
    if (status->parsed()) return PrintStatus(*options, context);
    return Down(context);
  };
}

}  // namespace

Command LabCommand() { return {"lab", "run several hosts on this machine", Declare}; }

}  // namespace brood::cli
