// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <iostream>

#include "controller/cli/commands.h"
#include "controller/client/inventory.h"

namespace brood::cli {
namespace {

int CheckFiles(Context& context) {
  const auto inventory = Inventory::Load(context.paths);
  if (!inventory) return context.Fail(inventory.error(), kExitFailed);
  std::vector<std::string> wrong = inventory->Check();
  const bool there = ::access(context.paths.hosts.c_str(), F_OK) == 0;
  // Nobody need have one; but who names it means it to be there.
  if (!there && !context.Variable("BROOD_HOSTS").empty())
    wrong.push_back("BROOD_HOSTS names '" + context.paths.hosts + "': there is no such file");
  for (const std::string& sentence : wrong) context.err << "brood: " << sentence << "\n";
  context.out << context.paths.hosts
              << (there ? ": " : ": no such file, which is as good as an empty one; ")
              << inventory->hosts().size() << " hosts, those of the lab included, "
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
