// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/paths.h"
#include "controller/client/host_address.h"

namespace brood {

// The agent of this user on this machine, at RUNTIME/agent.sock.

// Where it is reached: name "local". Nothing is touched.
HostAddress LocalAgentAddress(const Paths& paths);

// True if somebody listens there now.
bool LocalAgentListens(const Paths& paths);

// True if it was told to end, by `brood agent stop` or a signal such as systemd's, and has not been
// started since; for a moment it may still listen. With --keep-jobs what it ran goes on.
bool LocalAgentStopped(const Paths& paths);

// True if it has died and was not stopped, as far as can be told: the supervisor that it had
// started outlives it. What it ran may go on.
bool LocalAgentDied(const Paths& paths);

// True if a supervisor of it is there: jobs may go on without an agent.
bool LocalSupervisorListens(const Paths& paths);

// That no agent runs here, why, and what starts one: UNAVAILABLE, reason AGENT_STOPPED or
// NO_LOCAL_AGENT.
Error NoLocalAgent(const Paths& paths);

// Starts it if nobody listens: `brood-agent` of `program_directory` with `arguments`,
// told `paths` by its environment, in a session of its own, its stdio in
// STATE/agent.log; it outlives us. A lock in RUNTIME makes simultaneous callers
// start one. Returns once it serves. UNAVAILABLE with
// reason AGENT_NOT_STARTED, what the agent said and the log's path, if it fails.
Result<HostAddress> EnsureLocalAgent(const Paths& paths, const std::string& program_directory,
                                     const std::vector<std::string>& arguments = {});

// The same for those who only go on with something: AGENT_STOPPED if it was stopped.
Result<HostAddress> ReviveLocalAgent(const Paths& paths, const std::string& program_directory);

}  // namespace brood
