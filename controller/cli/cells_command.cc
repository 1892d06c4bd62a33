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
  bool compare = false;
  bool variables = false;
  OutputFormat format = OutputFormat::kTable;
};

std::string Hexadecimal(uint64_t address) {
  char text[19];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(address));
  return text;
}

// A value that was read from outside, or why it was not.
std::string Outside(const v1::OutsideReading& reading) {
  if (!reading.error().empty()) return "unknown: " + reading.error();
  return reading.has_value() ? ValueToJson(reading.value()) : "not written";
}

std::string Kind(const v1::Cell& cell) {
  switch (cell.kind()) {
    case v1::CELL_KIND_SHARED:
      return "shared";
    case v1::CELL_KIND_VARIABLE:
      return "variable";
    case v1::CELL_KIND_BLOCK:
      return "block of " + std::to_string(cell.block_bytes()) + " bytes";
    default:
      return "private";
  }
}

std::string Page(v1::PageState page) {
  switch (page) {
    case v1::PAGE_STATE_SAME:
      return "the parent's";
    case v1::PAGE_STATE_OWN:
      return "its own";
    default:
      return "unknown";
  }
}

void AddCells(const std::string& host, const v1::ReadMemoryResponse& answer, Table* table) {
  for (const v1::Cell& cell : answer.cells()) {
    table->Add({host, std::to_string(answer.pid()), cell.name(), ValueToJson(cell.value()),
                std::to_string(cell.version()), Hexadecimal(cell.address()), Kind(cell),
                Outside(cell.outside())});
  }
}

// The parent's value, by its own word and from outside, beside that of every living copy.
void AddComparison(const std::string& host, const std::string& parent,
                   const v1::ReadMemoryResponse& answer, Table* table) {
  const std::string pid = std::to_string(answer.pid());
  for (const v1::Cell& cell : answer.cells()) {
    const std::string address = Hexadecimal(cell.address());
    table->Add({host, cell.name(), "parent " + parent, pid, ValueToJson(cell.value()),
                std::to_string(cell.version()), "", "", address, "its own word"});
    table->Add({host, cell.name(), "parent " + parent, pid, Outside(cell.outside()),
                std::to_string(cell.outside().version()), cell.outside().writer(), "", address,
                "from outside"});
    for (const v1::CellCopy& copy : cell.copies()) {
      table->Add({host, cell.name(), "fork " + copy.job_id(), std::to_string(copy.pid()),
                  Outside(copy.outside()), std::to_string(copy.outside().version()),
                  copy.outside().writer(), Page(copy.page()), address, "from outside"});
    }
  }
}

int PrintCells(const Options& options, Context& context) {
  const Result<std::vector<HostAddress>> hosts = context.RunningHosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  v1::ReadMemoryRequest request;
  request.set_parent(options.parent);
  request.set_copies(options.compare);
  request.set_variables(options.variables);
  for (const std::string& name : options.names) request.add_cells(name);
  const std::function<Result<v1::ReadMemoryResponse>(Connection&)> ask =
      [&](Connection& connection) { return connection.ReadMemory(request); };
  const auto answers = Gather(context, *hosts, ask);
  const int code = AllAnswered(answers) ? kExitOk : kExitFailed;
  if (options.format == OutputFormat::kJson) {
    PrintAnswers(context.out, *hosts, answers);
    return code;
  }
  Table cells({"HOST", "PID", "CELL", "VALUE", "WRITES", "ADDRESS", "KIND", "FROM OUTSIDE"});
  for (const size_t column : {1, 4}) cells.AlignRight(column);
  Table comparison(
      {"HOST", "CELL", "IN", "PID", "VALUE", "WRITES", "LAST WRITER", "PAGE", "ADDRESS", "READ"});
  for (const size_t column : {3, 5}) comparison.AlignRight(column);
  const std::string parent = options.parent.empty() ? "default" : options.parent;
  for (size_t i = 0; i < hosts->size(); ++i) {
    if (!answers[i]) continue;
    if (options.compare) {
      AddComparison((*hosts)[i].name, parent, *answers[i], &comparison);
    } else {
      AddCells((*hosts)[i].name, *answers[i], &cells);
    }
    if (answers[i]->truncated()) {
      context.err << "brood: " << (*hosts)[i].name
                  << ": there are more cells than these; name those that you want\n";
    }
  }
  (options.compare ? comparison : cells).Print(context.out);
  return code;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  app.add_option("NAME", options->names, "the cells; all without");
  AddHostsOption(app, options->set);
  app.add_option("--parent", options->parent, "the parent to read (default)")->type_name("NAME");
  app.add_flag("--compare", options->compare, "beside them, the copies in all living forks");
  app.add_flag("--variables", options->variables,
               "with no NAME, also what libraries and objects show");
  AddFormatOption(app, options->format, "table|json");
  return [options, &context] { return PrintCells(*options, context); };
}

}  // namespace

Command CellsCommand() { return {"cells", "read named values in a parent's memory", Declare}; }

}  // namespace brood::cli
