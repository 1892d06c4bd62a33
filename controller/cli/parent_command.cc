// SPDX-License-Identifier: Apache-2.0
#include <climits>
#include <cstdlib>
#include <iostream>
#include <map>

#include "common/job/text.h"
#include "controller/cli/commands.h"
#include "controller/cli/gather.h"
#include "controller/cli/table.h"

namespace brood::cli {
namespace {

// A parent with much memory, or one that flushes to a slow disk, takes its time to end.
constexpr std::chrono::seconds kEndDeadline(60);

struct Options {
  std::string set;
  std::string name;
  std::string how = "return";
  std::vector<std::string> libraries;
  OutputFormat format = OutputFormat::kTable;
};

const std::map<std::string, v1::ParentEnd>& Hows() {
  static const std::map<std::string, v1::ParentEnd> kHows = {
      {"return", v1::PARENT_END_RETURN},
      {"exit", v1::PARENT_END_EXIT},
      {"abort", v1::PARENT_END_ABORT},
      {"kill", v1::PARENT_END_KILL},
      {"thread-exit", v1::PARENT_END_THREAD_EXIT}};
  return kHows;
}

std::string EndOf(const v1::Parent& parent) {
  if (!parent.has_ended()) return "";
  const v1::ParentEnded& ended = parent.ended();
  if (ended.has_signal()) return SignalName(ended.signal());
  if (ended.has_exit_code()) return "exit " + std::to_string(ended.exit_code());
  return "unknown";
}

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

// One answer per host, each a message with one or more parents.
template <typename Answer>
int Print(const std::vector<HostAddress>& hosts, const std::vector<std::optional<Answer>>& answers,
          const std::function<std::vector<v1::Parent>(const Answer&)>& parents,
          const Options& options, Context& context) {
  if (options.format == OutputFormat::kJson) {
    PrintAnswers(context.out, hosts, answers);
    return AllAnswered(answers) ? kExitOk : kExitFailed;
  }
  std::vector<std::string> heads = {"HOST", "PARENT",  "LIFE",  "STATE",
                                    "PID",  "THREADS", "FORKS", "END"};
  if (options.format == OutputFormat::kWide) heads.push_back("LIBRARIES");
  Table table(heads);
  for (const size_t column : {2, 4, 5, 6}) table.AlignRight(column);
  for (size_t i = 0; i < hosts.size(); ++i) {
    if (!answers[i]) continue;
    for (const v1::Parent& parent : parents(*answers[i])) {
      std::vector<std::string> row = {
          hosts[i].name,
          parent.name(),
          std::to_string(parent.incarnation()),
          ShortName(v1::ParentState_Name(parent.state()), "PARENT_STATE_"),
          parent.pid() != 0 ? std::to_string(parent.pid()) : "",
          std::to_string(parent.threads()),
          std::to_string(parent.forks()),
          EndOf(parent)};
      if (options.format == OutputFormat::kWide) row.push_back(Joined(parent.libraries()));
      table.Add(row);
    }
  }
  table.Print(context.out);
  return AllAnswered(answers) ? kExitOk : kExitFailed;
}

int Start(const Options& options, Context& context) {
  v1::StartParentRequest request;
  request.set_name(options.name);
  for (const std::string& library : options.libraries) {
    // The host wants an absolute path; here a relative one is this folder's.
    char path[PATH_MAX];
    const bool found = ::realpath(library.c_str(), path) != nullptr;
    request.add_libraries(found ? std::string(path) : library);
  }
  const Result<std::vector<HostAddress>> hosts = context.Hosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  const std::function<Result<v1::StartParentResponse>(Connection&)> ask =
      [&](Connection& connection) {
        return connection.StartParent(request, {std::chrono::seconds(30)});
      };
  const std::function<std::vector<v1::Parent>(const v1::StartParentResponse&)> one =
      [](const v1::StartParentResponse& answer) {
        return std::vector<v1::Parent>{answer.parent()};
      };
  return Print(*hosts, Gather(context, *hosts, ask), one, options, context);
}

int End(const Options& options, Context& context) {
  const auto how = Hows().find(options.how);
  v1::EndParentRequest request;
  request.set_name(options.name);
  request.set_how(how->second);
  const Result<std::vector<HostAddress>> hosts = context.RunningHosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  const std::function<Result<v1::EndParentResponse>(Connection&)> ask =
      [&](Connection& connection) { return connection.EndParent(request, {kEndDeadline}); };
  const std::function<std::vector<v1::Parent>(const v1::EndParentResponse&)> one =
      [](const v1::EndParentResponse& answer) { return std::vector<v1::Parent>{answer.parent()}; };
  return Print(*hosts, Gather(context, *hosts, ask), one, options, context);
}

int List(const Options& options, Context& context) {
  const Result<std::vector<HostAddress>> hosts = context.RunningHosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  const std::function<Result<v1::ListParentsResponse>(Connection&)> ask =
      [](Connection& connection) { return connection.ListParents({}); };
  const std::function<std::vector<v1::Parent>(const v1::ListParentsResponse&)> all =
      [](const v1::ListParentsResponse& answer) {
        return std::vector<v1::Parent>(answer.parents().begin(), answer.parents().end());
      };
  return Print(*hosts, Gather(context, *hosts, ask), all, options, context);
}

void AddName(CLI::App& app, Options& options) {
  app.add_option("NAME", options.name, "the parent's name")->required();
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  CLI::App* start = app.add_subcommand("start", "start a parent; one that runs stays");
  AddName(*start, *options);
  start->add_option("--library", options->libraries, "a task library to load: a shared object")
      ->type_name("FILE");
  CLI::App* list = app.add_subcommand("list", "list parents, ended ones too");
  CLI::App* end = app.add_subcommand("end", "end a parent: its threads end, its forks go on");
  AddName(*end, *options);
  end->add_option("--how", options->how, "return, exit, abort, kill or thread-exit (return)")
      ->check(CLI::IsMember(Hows()))
      ->type_name("HOW");
  for (CLI::App* command : {start, list, end}) {
    AddHostsOption(*command, options->set);
    AddFormatOption(*command, options->format, "table|wide|json");
  }
  return [options, start, list, &context] {
    if (start->parsed()) return Start(*options, context);
    if (list->parsed()) return List(*options, context);
    return End(*options, context);
  };
}

}  // namespace

Command ParentCommand() {
  return {"parent", "start, list and end the processes whose memory jobs share", Declare};
}

}  // namespace brood::cli
