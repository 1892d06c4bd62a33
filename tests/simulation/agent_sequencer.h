// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "agent/core/core.h"
#include "tests/simulation/agent_journal.h"
#include "tests/simulation/world.h"

namespace brood::simulation {

class AgentProgram;

// From a decision to the world, as agent/host/sequencer has it, in one thread: journal, effects,
// acknowledgements, readers; durable jobs wait for a sync, and all waits while the disk is full.
class AgentSequencer {
 public:
  // Whether it is kept.
  using Done = std::function<void(bool kept)>;

  AgentSequencer(World* world, AgentProgram* agent, Core* core, AgentJournal* journal)
      : world_(world), agent_(agent), core_(core), journal_(journal) {}

  template <typename F>
  void Step(F&& step) {
    step(*core_, world_->kernel.Now(), &pending_.batch);
  }
  template <typename F>
  void Step(F&& step, bool on_disk, Done done) {
    pending_.done.emplace_back(on_disk, std::move(done));
    Step(step);
  }
  void Commit();
  bool AllCommitted() const { return !committing_ && pending_.batch.empty() && held_.empty(); }

 private:
  struct Pending {
    Batch batch;
    std::vector<std::pair<bool, Done>> done;
  };
  void TellTrouble();
  void Hold(Pending pending);
  void Write(Pending pending);
  void SyncLater();
  void Sync();

  World* const world_;
  AgentProgram* const agent_;
  Core* const core_;
  AgentJournal* const journal_;
  Pending pending_;
  Batch held_;
  std::vector<std::pair<uint64_t, Done>> waiting_;  // for a sync up to that cursor
  bool committing_ = false;
  bool in_trouble_ = false;  // told
  bool sync_wanted_ = false;
  int64_t deadline_ = INT64_MAX;
};

}  // namespace brood::simulation
