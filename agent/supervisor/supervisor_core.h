// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace brood {

// Each parent is a process with memory of its own; a host that is asked for more
// than this many is asked by mistake.
inline constexpr size_t kParentsAliveMax = 1024;

// One connection to the supervisor's socket; 0 is never one.
using ConnectionId = uint64_t;

// A parent to start, as the agent asked.
struct ParentRequest {
  std::string name;
  uint64_t incarnation = 0;
  std::vector<std::string> libraries;
  std::string directory;
  std::string socket_path;
  std::vector<std::string> environment;
  std::string working_directory;
  uint32_t call_slots = 0;
};

struct RunningParent {
  std::string name;
  uint64_t incarnation = 0;
  int32_t pid = 0;
  std::string directory;
  std::string socket_path;
};

// What happens to the supervisor.
struct HelloArrived {
  ConnectionId connection = 0;
  uint32_t protocol = 0;
  uint64_t agent_incarnation = 0;
};
struct StartArrived {
  ConnectionId connection = 0;
  ParentRequest request;
};
struct KillArrived {
  ConnectionId connection = 0;
  std::string name;
  uint64_t incarnation = 0;
};
// From the agent, or from a signal (connection 0).
struct StopArrived {
  ConnectionId connection = 0;
};
struct ConnectionLost {
  ConnectionId connection = 0;
};
// The answers to LaunchParent.
struct ParentLaunched {
  RunningParent parent;
};
// A child of the supervisor is a zombie; and: its end was noted and it was reaped.
struct ChildEnded {
  int32_t pid = 0;
};
struct ChildReaped {
  int32_t pid = 0;
};
using SupervisorInput = std::variant<HelloArrived, StartArrived, KillArrived, StopArrived,
                                     ConnectionLost, ParentLaunched, ChildEnded, ChildReaped>;

// What it does about it, in this order.
struct Welcome {  // say hello, give the bell and the parents alive
  ConnectionId connection = 0;
  std::vector<RunningParent> parents;
};
struct Drop {  // close; `with_hello`: say hello first, so that the peer reads our protocol
  ConnectionId connection = 0;
  bool with_hello = false;
};
struct LaunchParent {
  ConnectionId connection = 0;
  ParentRequest request;
};
struct RefuseParent {
  ConnectionId connection = 0;
  std::string name;
  uint64_t incarnation = 0;
  std::string step;
  int32_t error_number = 0;
};
struct KillChild {
  int32_t pid = 0;
};
struct NoteEnd {  // of a parent, or (empty name) of an orphan
  int32_t pid = 0;
  std::string name;
  uint64_t incarnation = 0;
};
struct End {};
using SupervisorEffect =
    std::variant<Welcome, Drop, LaunchParent, RefuseParent, KillChild, NoteEnd, End>;

// What the supervisor decides: who may command it, which parents there are, when
// it ends. Pure: no clock, file, process or thread. One thread.
class SupervisorCore {
 public:
  std::vector<SupervisorEffect> Step(const SupervisorInput& input);

  // By pid; until reaped.
  const std::map<int32_t, RunningParent>& parents() const { return parents_; }

 private:
  using Effects = std::vector<SupervisorEffect>;
  void On(const HelloArrived& input, Effects& effects);
  void On(const StartArrived& input, Effects& effects);
  void On(const KillArrived& input, Effects& effects);
  void On(const StopArrived& input, Effects& effects);
  void On(const ConnectionLost& input, Effects& effects);
  void On(const ParentLaunched& input, Effects& effects);
  void On(const ChildEnded& input, Effects& effects);
  void On(const ChildReaped& input, Effects& effects);
  bool FromAgent(ConnectionId connection, Effects& effects) const;
  const RunningParent* Find(const std::string& name, uint64_t incarnation) const;
  void EndIfDone(Effects& effects) const;

  ConnectionId agent_ = 0;  // the one that may command
  uint64_t agent_incarnation_ = 0;
  std::map<int32_t, RunningParent> parents_;  // by pid; until reaped
  bool stopping_ = false;
};

}  // namespace brood
