// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/context.h"

#include <unistd.h>

#include <iostream>

#include "controller/client/inventory.h"
#include "controller/client/local_agent.h"

namespace brood::cli {

std::string Context::Variable(const std::string& name) const {
  const std::string start = name + "=";
  for (const std::string& variable : environment) {
    if (variable.rfind(start, 0) == 0) return variable.substr(start.size());
  }
  return "";
}

Result<std::vector<HostAddress>> Context::Hosts(const std::string& set) const {
  if (set.empty()) {
    auto local = EnsureLocalAgent(paths, program_directory);
    if (!local) return local.error();
    local->bring_back = BringBack(true);
    return std::vector<HostAddress>{*local};
  }
  auto inventory = Inventory::Load(paths);
  if (!inventory) return inventory.error();
  auto hosts = inventory->Select(set);
  if (!hosts) return hosts;
  for (HostAddress& host : *hosts) {
    if (host.name == kLocalHostName) host.bring_back = BringBack(false);
  }
  return hosts;
}

std::function<Status()> Context::BringBack(bool it_ran) const {
  return [it_ran, paths = paths, directory = program_directory]() -> Status {
    if (LocalAgentStopped(paths)) return NoLocalAgent(paths);
    if (!it_ran && !LocalAgentDied(paths)) return Ok();
    const auto local = ReviveLocalAgent(paths, directory);
    return local ? Ok() : Status(local.error());
  };
}

Result<std::vector<HostAddress>> Context::RunningHosts(const std::string& set) const {
  if (!set.empty()) return Hosts(set);
  // One that has died comes back when it is needed; one that was stopped was stopped.
  if (!LocalAgentListens(paths)) {
    if (!LocalAgentDied(paths)) return NoLocalAgent(paths);
    const auto revived = ReviveLocalAgent(paths, program_directory);
    if (!revived) return revived.error();
  }
  HostAddress local = LocalAgentAddress(paths);
  local.bring_back = BringBack(false);
  return std::vector<HostAddress>{std::move(local)};
}

int Context::Fail(const Error& error, int exit_code) const {
  err << "brood: " << error.message << "\n" << std::flush;
  return exit_code;
}

void Context::Complain(const std::string& host, const Error& error) const {
  Note(host, error.message);
}

void Context::Note(const std::string& host, const std::string& sentence) const {
  err << "brood: " << host << ": " << sentence << "\n" << std::flush;
}

Result<std::unique_ptr<Context>> ContextOfProcess(char** environment) {
  auto paths = PathsFromEnvironment();
  if (!paths) return paths.error();
  auto context = std::make_unique<Context>(std::cout, std::cerr);
  context->paths = *paths;
  context->program_directory = ProgramDirectory();
  for (char** variable = environment; *variable != nullptr; ++variable) {
    context->environment.emplace_back(*variable);
  }
  context->out_is_terminal = ::isatty(context->out_fd) == 1;
  context->err_is_terminal = ::isatty(context->err_fd) == 1;
  // https://no-color.org: any value but an empty one turns colours off.
  const bool color = context->Variable("NO_COLOR").empty() && context->Variable("TERM") != "dumb";
  context->out_color = color && context->out_is_terminal;
  context->err_color = color && context->err_is_terminal;
  return context;
}

}  // namespace brood::cli
