// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "controller/cli/command.h"

namespace brood::cli {

// One function per command, in NAME_command.cc.
Command RunCommand();
Command PsCommand();
Command ShowCommand();
Command EventsCommand();
Command LogsCommand();
Command WaitCommand();
Command KillCommand();
Command CancelCommand();
Command HostsCommand();
Command ParentCommand();
Command TasksCommand();
Command CellsCommand();
Command TreeCommand();
Command AgentCommand();
Command LabCommand();
Command ExperimentCommand();
Command TwinCommand();
Command ConfigCommand();
Command CertsCommand();
Command DemoCommand();
Command DoctorCommand();
Command VersionCommand();

// All of them, in the order of `brood --help`.
std::vector<Command> AllCommands();

}  // namespace brood::cli
