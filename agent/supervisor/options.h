// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "common/base/error.h"

namespace brood {

// The command line of brood-supervisor. The agent writes it; nobody types it.
struct SupervisorOptions {
  std::string directory;       // --directory: holds its outbox; exists
  std::string socket_path;     // --socket: where it listens
  uint64_t incarnation = 0;    // --incarnation: from 1
  int ready_fd = -1;           // --ready-fd: gets one byte once it listens
  std::string parent_program;  // --parent-program: brood-parent beside this one
};

// INVALID_ARGUMENT that names the option at fault.
Result<SupervisorOptions> ParseSupervisorOptions(int count, char** arguments);

}  // namespace brood
