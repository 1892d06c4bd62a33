// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "agent/supervisor/supervisor_core.h"
#include "tests/simulation/world.h"

namespace brood::simulation {

// The supervisor: its own core, and what agent/supervisor does around it, in steps at which it can
// be killed.
class SupervisorProgram final : public Program {
 public:
  SupervisorProgram(World* world, const ProcessRef& self, uint64_t incarnation);
  ~SupervisorProgram() override;

  uint64_t incarnation() const { return incarnation_; }
  void Accept(const std::shared_ptr<SupervisorWire>& wire);
  void OnChildEnded() override { WaitForChildren(); }

 private:
  struct Started {
    ProcessRef parent;
    Note note;
    std::string name;
  };
  ProcessRef self() const { return self_.lock(); }
  void OnFrames(ConnectionId id);
  void Step(const SupervisorInput& input);
  void Do(const Welcome& effect);
  void Do(const Drop& effect);
  void Do(const LaunchParent& effect);
  void Do(const RefuseParent& effect);
  void Do(const KillChild& effect);
  void Do(const NoteEnd& effect);
  void Do(const End& effect);
  void WaitForChildren();
  bool WriteStarts();
  bool Append(Note note, const std::string& text);

  World* const world_;
  Kernel* const kernel_;
  const std::weak_ptr<Process> self_;
  const uint64_t incarnation_;
  const std::shared_ptr<NotesFile> notes_;
  SupervisorCore core_;
  ConnectionId next_ = 1;
  std::map<ConnectionId, std::shared_ptr<SupervisorWire>> wires_;
  std::vector<Started> starts_;  // not noted yet
  Note ended_;
  bool noted_ = false;
};

}  // namespace brood::simulation
