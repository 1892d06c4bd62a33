// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/error.h"

namespace brood {

// Where brood keeps things. Each folder has an environment variable that makes
// it hermetic, else the XDG default.
struct Paths {
  std::string state;    // BROOD_STATE_DIR, else $XDG_STATE_HOME/brood, else ~/.local/state/brood
  std::string runtime;  // BROOD_RUNTIME_DIR, else $XDG_RUNTIME_DIR/brood, else /tmp/brood-UID
  std::string config;   // BROOD_CONFIG (a file), else $XDG_CONFIG_HOME/brood/config.toml
  std::string hosts;    // BROOD_HOSTS (a file), else hosts.toml beside the config
};

// From the environment. INVALID_ARGUMENT for a relative path.
Result<Paths> PathsFromEnvironment();

// The state folder of this machine: STATE/<machine-id>.
std::string MachineStateDirectory(const std::string& state);

// The socket of the local agent: RUNTIME/agent.sock.
std::string AgentSocketPath(const std::string& runtime);
// There while that agent is stopped, as opposed to dead: it makes it when it is told to end, before
// it stops listening, and removes it when it starts.
std::string StoppedMarkPath(const std::string& runtime);
// Where its supervisor listens.
std::string SupervisorSocketPath(const std::string& runtime);

// Creates the folder and those above it, 0700. PERMISSION_DENIED if it is there
// and belongs to somebody else or is open to others for writing.
Status MakePrivateDirectory(const std::string& path);

// The folder of the running program, where the others of brood are too.
std::string ProgramDirectory();

}  // namespace brood
