// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <iostream>

#include "common/job/value.h"
#include "controller/cli/commands.h"
#include "controller/cli/gather.h"
#include "controller/cli/table.h"

namespace brood::cli {
namespace {

struct Options {
  std::string set;
  std::string parent;
  std::vector<std::string> names;
  OutputFormat format = OutputFormat::kTable;
};

std::string Hexadecimal(uint64_t address) {
  char text[19];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(address));
  return text;
}

int PrintCells(const Options& options, Context& context) {
  const Result<std::vector<HostAddress>> hosts = context.RunningHosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  v1::ReadMemoryRequest request;
  request.set_parent(options.parent);
  for (const std::string& name : options.names) request.add_cells(name);
  const std::function<Result<v1::ReadMemoryResponse>(Connection&)> ask =
      [&](Connection& connection) { return connection.ReadMemory(request); };
  const auto answers = Gather(context, *hosts, ask);
  const int code = AllAnswered(answers) ? kExitOk : kExitFailed;
  if (options.format == OutputFormat::kJson) {
    PrintAnswers(context.out, *hosts, answers);
    return code;
  }
  Table table({"HOST", "PID", "CELL", "VALUE", "WRITES", "ADDRESS"});
  for (const size_t column : {1, 4}) table.AlignRight(column);
  for (size_t i = 0; i < hosts->size(); ++i) {
    if (!answers[i]) continue;
    for (const v1::Cell& cell : answers[i]->cells()) {
      table.Add({(*hosts)[i].name, std::to_string(answers[i]->pid()), cell.name(),
                 ValueToJson(cell.value()), std::to_string(cell.version()),
                 Hexadecimal(cell.address())});
    }
    if (answers[i]->truncated()) {
      context.err << "brood: " << (*hosts)[i].name
                  << ": there are more cells than these; name those that you want\n";
    }
  }
  table.Print(context.out);
  return code;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  app.add_option("NAME", options->names, "the cells; all without");
  AddHostsOption(app, options->set);
  app.add_option("--parent", options->parent, "the parent to read (default)")->type_name("NAME");
  AddFormatOption(app, options->format, "table|json");
  return [options, &context] { return PrintCells(*options, context); };
}

}  // namespace

Command CellsCommand() { return {"cells", "read named values in a parent's memory", Declare}; }

}  // namespace brood::cli
