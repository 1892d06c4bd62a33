// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "controller/cli/commands.h"
#include "controller/client/inventory.h"

namespace brood::cli {
namespace {

int CheckFiles(Context& context) {
  const auto inventory = Inventory::Load(context.paths);
  if (!inventory) return context.Fail(inventory.error(), kExitFailed);
  const std::vector<std::string> wrong = inventory->Check();
  for (const std::string& sentence : wrong) context.err << "brood: " << sentence << "\n";
  context.out << context.paths.hosts << ": " << inventory->hosts().size() << " hosts, "
              << inventory->groups().size() << " groups, " << wrong.size() << " faults\n";
  return wrong.empty() ? kExitOk : kExitFailed;
}

Action Declare(CLI::App& app, Context& context) {
  app.require_subcommand(1);
  app.add_subcommand("check", "look whether the hosts file is right: hosts, groups, addresses");
  const CLI::App* const path = app.add_subcommand("path", "print the files and folders in use");
  return [path, &context] {
    if (!path->parsed()) return CheckFiles(context);
    context.out << "config  " << context.paths.config << "\n"
                << "hosts   " << context.paths.hosts << "\n"
                << "state   " << context.paths.state << "\n"
                << "runtime " << context.paths.runtime << "\n";
    return kExitOk;
  };
}

}  // namespace

Command ConfigCommand() { return {"config", "check and find the files that brood reads", Declare}; }

}  // namespace brood::cli
