// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/supervisor_core.h"

#include <cerrno>

#include "common/base/protocol.h"

namespace brood {

std::vector<SupervisorEffect> SupervisorCore::Step(const SupervisorInput& input) {
  Effects effects;
  std::visit([&](const auto& one) { On(one, effects); }, input);
  return effects;
}

void SupervisorCore::On(const HelloArrived& input, Effects& effects) {
  if (input.protocol != kProtocolVersion) {
    effects.push_back(Drop{input.connection, true});
    return;
  }
  if (input.agent_incarnation < agent_incarnation_) {
    effects.push_back(Drop{input.connection, false});
    return;
  }
  // The same incarnation again is the same agent, whose connection broke before we saw it.
  if (agent_ != 0 && agent_ != input.connection) effects.push_back(Drop{agent_, false});
  agent_ = input.connection;
  agent_incarnation_ = input.agent_incarnation;
  Welcome welcome{input.connection, {}};
  for (const auto& [pid, parent] : parents_) welcome.parents.push_back(parent);
  effects.push_back(std::move(welcome));
}

void SupervisorCore::On(const StartArrived& input, Effects& effects) {
  if (!FromAgent(input.connection, effects)) return;
  const ParentRequest& request = input.request;
  const auto refuse = [&](const char* step, int32_t error_number) {
    effects.push_back(
        RefuseParent{input.connection, request.name, request.incarnation, step, error_number});
  };
  if (request.name.empty() || request.directory.empty() || request.socket_path.empty()) {
    refuse("request", EINVAL);
  } else if (stopping_) {
    refuse("stopping", ESHUTDOWN);
  } else if (Find(request.name, request.incarnation) != nullptr) {
    // Asked for by an agent that did not live to hear of it: its start is noted, or will be.
  } else if (parents_.size() >= kParentsAliveMax) {
    refuse("limit", EAGAIN);
  } else {
    effects.push_back(LaunchParent{input.connection, request});
  }
}

void SupervisorCore::On(const KillArrived& input, Effects& effects) {
  if (!FromAgent(input.connection, effects)) return;
  // Not reaped yet, so its pid is still its own.
  const RunningParent* const parent = Find(input.name, input.incarnation);
  if (parent != nullptr) effects.push_back(KillChild{parent->pid});
}

void SupervisorCore::On(const StopArrived& input, Effects& effects) {
  if (input.connection != 0 && !FromAgent(input.connection, effects)) return;
  stopping_ = true;
  EndIfDone(effects);
}

void SupervisorCore::On(const ConnectionLost& input, Effects&) {
  // The agent's incarnation stays known: an older one is refused even now.
  if (agent_ == input.connection) agent_ = 0;
}

void SupervisorCore::On(const ParentLaunched& input, Effects&) {
  parents_[input.parent.pid] = input.parent;
}

void SupervisorCore::On(const ChildEnded& input, Effects& effects) {
  const auto found = parents_.find(input.pid);
  if (found == parents_.end()) {
    effects.push_back(NoteEnd{input.pid, "", 0});
  } else {
    effects.push_back(NoteEnd{input.pid, found->second.name, found->second.incarnation});
  }
}

void SupervisorCore::On(const ChildReaped& input, Effects& effects) {
  parents_.erase(input.pid);
  EndIfDone(effects);
}

bool SupervisorCore::FromAgent(ConnectionId connection, Effects& effects) const {
  if (connection == agent_) return true;
  // It never said hello, or was fenced off.
  effects.push_back(Drop{connection, false});
  return false;
}

const RunningParent* SupervisorCore::Find(const std::string& name, uint64_t incarnation) const {
  for (const auto& [pid, parent] : parents_) {
    if (parent.name == name && parent.incarnation == incarnation) return &parent;
  }
  return nullptr;
}

// Orphans that still live are then no longer its concern: the agent has ended
// what it wanted to end, and whoever adopts the rest reaps them.
void SupervisorCore::EndIfDone(Effects& effects) const {
  if (stopping_ && parents_.empty()) effects.push_back(End{});
}

}  // namespace brood
