// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "controller/cli/commands.h"
#include "controller/cli/gather.h"
#include "controller/cli/table.h"

namespace brood::cli {
namespace {

struct Options {
  std::string set;
  std::string parent;
  OutputFormat format = OutputFormat::kTable;
};

std::string TypeName(v1::ValueType type) {
  return ShortName(v1::ValueType_Name(type), "VALUE_TYPE_");
}

// "CELL:TEXT [N:INT]"
std::string Parameters(const v1::Task& task) {
  std::string line;
  for (const v1::TaskParameter& parameter : task.parameters()) {
    const std::string word = parameter.name() + ":" + TypeName(parameter.type());
    line += (line.empty() ? "" : " ") + (parameter.optional() ? "[" + word + "]" : word);
  }
  return line;
}

// What AUTO would take it for.
std::string Prefers(const v1::Task& task) {
  if (task.isolated()) return "fork";
  return task.shares_memory() ? "thread" : "";
}

std::string Summary(const v1::Task& task) {
  const char* const where = "; a thread call runs on the parent's main thread";
  return task.summary() + (task.on_main_thread() ? where : "");
}

int PrintTasks(const Options& options, Context& context) {
  // A parent's tasks are known once it runs, so a local agent is started if there is none.
  const Result<std::vector<HostAddress>> hosts = context.Hosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  v1::ListTasksRequest request;
  request.set_parent(options.parent);
  const std::function<Result<v1::ListTasksResponse>(Connection&)> ask =
      [&](Connection& connection) { return connection.ListTasks(request); };
  const auto answers = Gather(context, *hosts, ask);
  const int code = AllAnswered(answers) ? kExitOk : kExitFailed;
  if (options.format == OutputFormat::kJson) {
    PrintAnswers(context.out, *hosts, answers);
    return code;
  }
  const bool several = hosts->size() > 1;
  std::vector<std::string> heads = {"TASK", "ARGUMENTS", "RETURNS", "AUTO", "SUMMARY"};
  if (several) heads.insert(heads.begin(), "HOST");
  Table table(heads);
  for (size_t i = 0; i < hosts->size(); ++i) {
    if (!answers[i]) continue;
    for (const v1::Task& task : answers[i]->tasks()) {
      std::vector<std::string> row = {task.name(), Parameters(task), TypeName(task.result()),
                                      Prefers(task), Summary(task)};
      if (several) row.insert(row.begin(), (*hosts)[i].name);
      table.Add(row);
    }
  }
  table.Print(context.out);
  return code;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  AddHostsOption(app, options->set);
  app.add_option("--parent", options->parent, "the parent to ask (default)")->type_name("NAME");
  AddFormatOption(app, options->format, "table|json");
  return [options, &context] { return PrintTasks(*options, context); };
}

}  // namespace

Command TasksCommand() { return {"tasks", "list what can be called", Declare}; }

}  // namespace brood::cli
