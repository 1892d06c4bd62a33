// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <nlohmann/json.hpp>

#include "controller/cli/commands.h"
#include "controller/cli/gather.h"
#include "controller/cli/table.h"
#include "controller/client/local_agent.h"
#include "controller/lab/process_table.h"

namespace brood::cli {
namespace {

// Each job gets its grace (10 s unless its spec says else) before it is killed.
constexpr std::chrono::seconds kStopDeadline(60);
// Having answered, an agent only has to leave.
constexpr std::chrono::seconds kEndPatience(10);

struct Options {
  std::string set;
  bool keep_jobs = false;
  OutputFormat format = OutputFormat::kTable;
};

// Becomes the agent, in the foreground.
int Run(const CLI::App& run, Context& context) {
  const std::string program = context.program_directory + "/brood-agent";
  std::vector<std::string> words = run.remaining();
  words.insert(words.begin(), program);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  context.out.flush();
  ::execv(program.c_str(), pointers.data());
  return context.Fail(ErrnoError(errno, "start '" + program + "'"), kExitFailed);
}

struct Standing {
  v1::Host host;
  v1::ListParentsResponse parents;
};

nlohmann::ordered_json ToJson(const Standing& standing) {
  const v1::Host& host = standing.host;
  nlohmann::ordered_json json = {
      {"name", host.name()},
      {"state", ShortName(v1::HostState_Name(host.state()), "HOST_STATE_")},
      {"version", host.version()},
      {"pid", host.agent_pid()},
      {"incarnation", host.agent_incarnation()},
      {"supervisorPid", host.supervisor_pid()},
      {"processSlots", host.process_slots()},
      {"threadSlots", host.thread_slots()},
      {"queueLimit", host.queue_limit()},
      {"processes", host.processes()},
      {"threads", host.threads()},
      {"queued", host.queued()},
      {"journalProblem", host.journal_problem()},
      {"journalOldest", host.journal_oldest()},
      {"journalHead", host.journal_head()},
      {"parents", nlohmann::ordered_json::array()}};
  for (const v1::Parent& parent : standing.parents.parents()) {
    if (parent.state() == v1::PARENT_STATE_ENDED) continue;
    json["parents"].push_back(
        {{"name", parent.name()},
         {"pid", parent.pid()},
         {"state", ShortName(v1::ParentState_Name(parent.state()), "PARENT_STATE_")},
         {"incarnation", parent.incarnation()},
         {"threads", parent.threads()},
         {"forks", parent.forks()}});
  }
  return json;
}

int PrintStatus(const Options& options, Context& context) {
  const Result<std::vector<HostAddress>> hosts = context.RunningHosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  const std::function<Result<Standing>(Connection&)> ask =
      [](Connection& connection) -> Result<Standing> {
    const Result<v1::GetHostResponse> host = connection.GetHost({});
    if (!host) return host.error();
    const Result<v1::ListParentsResponse> parents = connection.ListParents({});
    if (!parents) return parents.error();
    return Standing{host->host(), *parents};
  };
  const auto standings = Gather(context, *hosts, ask);
  const int code = AllAnswered(standings) ? kExitOk : kExitFailed;
  if (options.format == OutputFormat::kJson) {
    nlohmann::ordered_json all = nlohmann::ordered_json::object();
    for (size_t i = 0; i < hosts->size(); ++i)
      if (standings[i]) all[(*hosts)[i].name] = ToJson(*standings[i]);
    if (hosts->size() > 1) context.out << all.dump(1) << "\n";
    if (hosts->size() == 1 && standings[0]) context.out << ToJson(*standings[0]).dump(1) << "\n";
    return code;
  }
  Table table({"HOST", "STATE", "AGENT", "SUPERVISOR", "PARENTS", "PROCESSES", "THREADS", "QUEUED",
               "EVENTS"});
  for (const size_t column : {2, 3, 5, 6, 7}) table.AlignRight(column);
  for (size_t i = 0; i < hosts->size(); ++i) {
    if (!standings[i]) continue;
    const v1::Host& host = standings[i]->host;
    std::string parents;
    for (const v1::Parent& parent : standings[i]->parents.parents()) {
      if (parent.state() == v1::PARENT_STATE_ENDED) continue;
      parents += (parents.empty() ? "" : " ") + parent.name() + ":" + std::to_string(parent.pid());
    }
    table.Add({(*hosts)[i].name, ShortName(v1::HostState_Name(host.state()), "HOST_STATE_"),
               std::to_string(host.agent_pid()), std::to_string(host.supervisor_pid()), parents,
               std::to_string(host.processes()), std::to_string(host.threads()),
               std::to_string(host.queued()),
               std::to_string(host.journal_oldest()) + "-" + std::to_string(host.journal_head())});
  }
  table.Print(context.out);
  for (size_t i = 0; i < hosts->size(); ++i) {
    if (standings[i] && !standings[i]->host.journal_problem().empty())
      context.err << "brood: " << (*hosts)[i].name
                  << " takes no new jobs: " << standings[i]->host.journal_problem() << "\n";
  }
  return code;
}

// Ends one agent; returns once its process, where we can see it, has gone.
Result<unsigned> StopOne(Connection& connection, bool keep_jobs) {
  const Result<v1::GetHostResponse> host = connection.GetHost({});
  if (!host) return host.error();
  const ProcessTable table = ProcessTable::Read();
  const Process* agent = table.Find(host->host().agent_pid());
  v1::StopAgentRequest request;
  request.set_keep_jobs(keep_jobs);
  const Result<v1::StopAgentResponse> stopped = connection.StopAgent(request, {kStopDeadline});
  if (!stopped) return stopped.error();
  // Over a unix socket it is a process of this machine; and only one of that name is it.
  const bool here = connection.address().target.rfind("unix:", 0) == 0 && agent != nullptr &&
                    agent->name == "brood-agent";
  if (here && !AwaitEnd({*agent}, 0, kEndPatience).empty()) {
    return Error{ErrorCode::kDeadlineExceeded, "AGENT_STILL_THERE",
                 "the agent (pid " + std::to_string(agent->pid) +
                     ") said that it ends and is still there; see its log",
                 ""};
  }
  return stopped->ended_jobs();
}

int Stop(const Options& options, Context& context) {
  if (options.set.empty() && !LocalAgentListens(context.paths)) {
    context.err << "brood: no agent runs on this machine";
    if (LocalSupervisorListens(context.paths)) {
      context.err << ", but what it had started may go on; to end that, start it again (`brood run "
                     "-- true`), then stop it";
    }
    context.err << "\n";
    return kExitOk;
  }
  const Result<std::vector<HostAddress>> hosts = context.RunningHosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  const std::function<Result<unsigned>(Connection&)> ask = [&](Connection& connection) {
    return StopOne(connection, options.keep_jobs);
  };
  const auto stopped = Gather(context, *hosts, ask);
  for (size_t i = 0; i < hosts->size(); ++i) {
    if (!stopped[i]) continue;
    context.err << "brood: " << (*hosts)[i].name << ": the agent has ended";
    if (options.keep_jobs) {
      context.err << "; running jobs go on, those that waited are lost\n";
    } else {
      context.err << ", and with it " << *stopped[i] << " running jobs\n";
    }
  }
  return AllAnswered(stopped) ? kExitOk : kExitFailed;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  CLI::App* run =
      app.add_subcommand("run", "be an agent, in the foreground; options are brood-agent's");
  run->prefix_command();
  run->set_help_flag();
  CLI::App* status = app.add_subcommand("status", "show agent, supervisor and parents");
  AddHostsOption(*status, options->set);
  AddFormatOption(*status, options->format, "table|json");
  CLI::App* stop = app.add_subcommand("stop", "end jobs, parents, supervisor and agent");
  AddHostsOption(*stop, options->set);
  stop->add_flag("--keep-jobs", options->keep_jobs,
                 "end the agent only: running jobs go on, those that wait are LOST");
  return [options, run, status, &context] {
    if (run->parsed()) return Run(*run, context);
    if (status->parsed()) return PrintStatus(*options, context);
    return Stop(*options, context);
  };
}

}  // namespace

Command AgentCommand() { return {"agent", "run, show and stop the agent of a host", Declare}; }

}  // namespace brood::cli
