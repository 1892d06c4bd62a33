// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/effect.h"
#include "brood/internal/v1/frames.pb.h"
#include "tests/chaos/judge.h"
#include "tests/simulation/files.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/weather.h"
#include "tests/simulation/wire.h"

namespace brood::simulation {

inline constexpr char kCallsParent[] = "calls";  // a named one
inline constexpr char kTask[] = "sim.work";

// What a job will do.
struct JobPlan {
  chaos::Plan told;  // what the judge has to know of it
  int64_t works_ns = 0;
  bool crashes = false;
  bool exec_fails = false;
  bool ignores_term = false;
  bool leaves_daemon = false;
};

struct FromParent {
  internal::v1::FromParent frame;
  std::vector<std::shared_ptr<Pipe>> pipes;  // one for each of its streams
};
using ParentWire = Wire<internal::v1::ToParent, FromParent>;

struct ToSupervisor {
  uint64_t hello = 0;  // the agent's incarnation
  ParentKey start;     // name empty: none
  uint32_t call_slots = 0;
  ParentKey kill;
};
struct FromSupervisor {
  ParentKey failed;  // name empty: its hello
};
using SupervisorWire = Wire<ToSupervisor, FromSupervisor>;

class AgentProgram;

// One host and its disk, and who is where on it.
struct World {
  World(uint64_t seed, Coverage* seen, bool show)
      : random(seed), trace(show), weather(&random), kernel(&random, &trace, seen) {}

  Random random;
  Trace trace;
  const Weather weather;
  Disk disk;
  std::map<std::string, JobPlan> plans;
  std::map<std::string, chaos::Ledger::Runs> ledger;

  // Sockets' paths: who listens there.
  std::map<ParentKey, ProcessRef> parents;
  ProcessRef supervisor;
  // Bells of outboxes: who is woken by a note.
  std::map<ParentKey, std::function<void()>> parent_bells;
  std::function<void()> supervisor_bell;
  // Something was written into a job's pipe, or it is at its end.
  std::function<void(uint64_t job_key)> pipe_bell;
  // The pipe that this process holds; null: it is gone, or holds none of that number.
  std::shared_ptr<Pipe> FindPipeOf(int32_t pid, uint64_t inode) const {
    const auto found = pipes.find(pid);
    const std::shared_ptr<Pipe> pipe = found == pipes.end() ? nullptr : found->second.lock();
    return pipe != nullptr && pipe->inode == inode ? pipe : nullptr;
  }

  // The room of a segment is reserved when it is begun.
  bool HasRoomFor(const NotesFile& file) const {
    return !disk.full || file.notes.size() % NotesFile::kSegmentNotes != 0;
  }

  // What jobs' processes hold as their output.
  std::map<int32_t, std::weak_ptr<Pipe>> pipes;
  // Null while no agent lives.
  ProcessRef agent;
  AgentProgram* agent_program = nullptr;
  uint64_t next_inode = 1;
  bool parents_died = false;
  bool supervisors_died = false;

  // Last: programs end before what they use.
  Kernel kernel;
};

}  // namespace brood::simulation
