// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/host/life.h"
#include "tests/simulation/world.h"

namespace brood::simulation {

class AgentProgram;

// The agent's end of a life of a parent, as agent/host/parent_link is.
class AgentLife final : public Life, public std::enable_shared_from_this<AgentLife> {
 public:
  AgentLife(World* world, AgentProgram* agent, ParentKey key);
  ~AgentLife() override { Shut(); }
  void Shut();

  const ParentKey& key() const override { return key_; }
  void ReadNotes() override;
  std::vector<StartSlot> TakeStarts(
      const std::function<bool(uint64_t job_key)>& is_started) override;
  std::vector<StartSlot> ReadStarts() const override;
  CallFacts ReadCall(uint64_t job_key, uint32_t slot) const override;
  uint64_t CulpritJobKey() const override;
  bool has_answered() const override { return has_answered_; }
  bool was_connected() const { return was_connected_; }
  // Limits are not simulated.
  bool WasOutOfMemory(uint64_t) const override { return false; }
  void TakeWritesOf(uint64_t) override {}
  void TakeAllWrites() override {}

  bool TryConnect();
  void Send(internal::v1::ToParent frame);
  void SendCommands(internal::v1::ToParent frame);
  void ReleaseNotes();

 private:
  ParentFolder* folder() const;
  void Receive();
  void OnFrame(const FromParent& message);

  World* const world_;
  AgentProgram* const agent_;
  const ParentKey key_;
  NotesReader reader_;
  std::vector<std::pair<Note, std::string>> notes_;
  bool was_connected_ = false;
  bool has_answered_ = false;
  std::shared_ptr<ParentWire> main_;
  std::shared_ptr<ParentWire> commands_;
};

}  // namespace brood::simulation
