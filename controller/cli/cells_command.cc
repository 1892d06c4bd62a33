// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "common/job/value.h"
#include "controller/cli/commands.h"
#include "controller/cli/event_text.h"
#include "controller/cli/gather.h"
#include "controller/cli/json_output.h"
#include "controller/cli/signal_source.h"
#include "controller/cli/table.h"
#include "controller/cli/watch.h"

namespace brood::cli {
namespace {

struct Options {
  std::string set;
  std::string parent;
  std::vector<std::string> names;
  bool compare = false;
  bool watch = false;
  bool history = false;
  bool variables = false;
  ResumePolicy resume;
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

// Live, or those that the journals still have.
int PrintWrites(const Options& options, Context& context) {
  if (options.watch + options.history + options.compare > 1) {
    return context.Fail(
        FieldError("--watch", "goes with neither --history nor --compare; give one of them"),
        kExitUsage);
  }
  const Result<std::vector<HostAddress>> hosts = context.RunningHosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  const std::string parent = options.parent.empty() ? "default" : options.parent;
  const auto print = [&](size_t host, const v1::Event& event) {
    if (event.has_gap() && options.watch) {
      context.Note((*hosts)[host].name, event.gap().why());
      return;
    }
    if (!event.has_memory() || event.unit().parent() != parent) return;
    const auto& names = options.names;
    if (!names.empty() &&
        std::find(names.begin(), names.end(), event.memory().cell()) == names.end()) {
      return;
    }
    if (options.format == OutputFormat::kTable) {
      context.out << EventLine((*hosts)[host].name, event) << std::endl;
    } else {
      context.out << ToJsonLine(event, Fields::kAll) << std::endl;
    }
  };
  WatchEnd end;
  WatchOptions watch;
  watch.resume = options.resume;
  watch.note = [&](size_t host, const std::string& sentence) {
    context.Note((*hosts)[host].name, sentence);
  };
  if (options.watch) {
    v1::WatchMemoryRequest request;
    request.set_parent(options.parent);
    *request.mutable_cells() = {options.names.begin(), options.names.end()};
    end = WatchCells(*hosts, request, watch, print);
  } else {
    std::vector<HostJobs> all;
    for (const HostAddress& host : *hosts) all.push_back({host, {}});
    end = Watch(all, watch, print);
  }
  if (end.signal != 0) return DieOf(end.signal);
  int code = kExitOk;
  for (size_t i = 0; i < end.hosts.size(); ++i) {
    if (!end.hosts[i]) continue;
    context.Complain((*hosts)[i].name, *end.hosts[i]);
    code = kExitFailed;
  }
  return code;
}

int PrintCells(const Options& options, Context& context) {
  if (options.watch || options.history) return PrintWrites(options, context);
  if (options.format == OutputFormat::kJsonLines) {
    return context.Fail(
        FieldError("-o", "'jsonl' is for --watch and --history; take table or json"), kExitUsage);
  }
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
  app.add_flag("--watch", options->watch, "print each write as it happens, until the parent ends");
  app.add_flag("--history", options->history, "print the writes that were watched before");
  AddGiveUpOption(app, options->resume);
  AddFormatOption(app, options->format, "table|json|jsonl");
  return [options, &context] { return PrintCells(*options, context); };
}

}  // namespace

Command CellsCommand() { return {"cells", "read named values in a parent's memory", Declare}; }

}  // namespace brood::cli
