// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/commands.h"

namespace brood::cli {

std::vector<Command> AllCommands() {
  return {
      // Jobs.
      RunCommand(),
      PsCommand(),
      ShowCommand(),
      EventsCommand(),
      LogsCommand(),
      WaitCommand(),
      KillCommand(),
      CancelCommand(),
      // Hosts and parents.
      HostsCommand(),
      ParentCommand(),
      TasksCommand(),
      CellsCommand(),
      TreeCommand(),
      AgentCommand(),
      LabCommand(),
      // The lesson.
      ExperimentCommand(),
      // The rest.
      TwinCommand(),
      DemoCommand(),
      ConfigCommand(),
      CertsCommand(),
      DoctorCommand(),
      VersionCommand(),
  };
}

}  // namespace brood::cli
