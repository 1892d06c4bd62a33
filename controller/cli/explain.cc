// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/explain.h"

#include <google/protobuf/struct.pb.h>

#include <iostream>

#include "common/job/call_arguments.h"
#include "common/job/exit_code.h"
#include "common/job/mode_choice.h"
#include "common/job/spec_validation.h"
#include "controller/cli/command.h"
#include "controller/cli/json_output.h"
#include "controller/cli/table.h"
#include "controller/client/each_host.h"

namespace brood::cli {
namespace {

// What the host's task says of itself; NOT_FOUND if there is none of that name.
Result<TaskTraits> Traits(Connection& connection, const v1::JobSpec& spec) {
  if (!spec.has_call()) return TaskTraits{};
  v1::ListTasksRequest request;
  request.set_parent(spec.parent());
  auto response = connection.ListTasks(request);
  if (!response) return response.error();
  for (const v1::Task& task : response->tasks()) {
    if (task.name() != spec.call().task()) continue;
    auto arguments = BindArguments(task, spec.call());
    if (!arguments) return arguments.error();
    return TaskTraits{task.isolated(), task.shares_memory()};
  }
  return Error{ErrorCode::kNotFound, "NO_SUCH_TASK",
               "there is no task '" + spec.call().task() + "'; `brood tasks` lists them",
               "spec.call.task"};
}

Status ChooseOn(Connection& connection, const v1::JobSpec& spec, ModeChoice& choice) {
  if (Status status = ValidateJobSpec(spec)) return status;
  auto traits = Traits(connection, spec);
  if (!traits) return traits.error();
  auto host = connection.GetHost({});
  if (!host) return host.error();
  choice = ChooseMode(spec, *traits, false, host->host().default_mode());
  return Ok();
}

const char* ModeName(v1::Mode mode) { return mode == v1::MODE_THREAD ? "thread" : "fork"; }

void PrintJson(const HostAddress& host, const ModeChoice& choice, Context& context) {
  google::protobuf::Struct line;
  auto& fields = *line.mutable_fields();
  fields["host"].set_string_value(host.name);
  fields["mode"].set_string_value(v1::Mode_Name(choice.mode));
  fields["reason"].set_string_value(choice.reason);
  context.out << ToJsonLine(line) << "\n";
}

}  // namespace

int Explain(const RunOptions& options, const SpecBuilder& builder,
            const std::vector<HostAddress>& hosts, Context& context) {
  const v1::JobSpec spec = builder.Job().spec();
  std::vector<ModeChoice> choices(hosts.size());
  const auto answers = EachHost(hosts, [&](size_t i, Connection& connection) {
    return ChooseOn(connection, spec, choices[i]);
  });
  int code = kExitOk;
  Table table({"HOST", "MODE", "REASON"});
  for (size_t i = 0; i < hosts.size(); ++i) {
    if (answers[i]) {
      code = kExitBroodFailed;
      context.Complain(hosts[i].name, *answers[i]);
    } else if (options.format != OutputFormat::kText) {
      PrintJson(hosts[i], choices[i], context);
    } else {
      table.Add({hosts[i].name, ModeName(choices[i].mode), choices[i].reason});
    }
  }
  if (!table.empty()) table.Print(context.out);
  return code;
}

}  // namespace brood::cli
