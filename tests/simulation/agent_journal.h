// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/journal/journal.h"
#include "tests/simulation/world.h"

namespace brood::simulation {

// The journal of one agent over the disk's file: what it was handed is there as a whole or up to a
// torn record, as its agent lived or not.
class AgentJournal {
 public:
  using Sink = std::function<bool(uint64_t cursor, uint64_t job_key, std::string_view payload)>;

  AgentJournal(World* world, const std::string& boot_id);

  // The disk has room.
  void Append(const std::vector<JournalRecord>& records);
  // All that was appended is on the disk; up to which cursor.
  uint64_t Sync();
  void Read(uint64_t after, const Sink& sink) const;
  uint64_t head() const { return head_; }
  uint64_t epoch() const { return world_->disk.journal.epochs.present(); }
  uint64_t KeptOf(uint64_t epoch) const { return world_->disk.journal.epochs.KeptOf(epoch, head_); }

 private:
  void Show(const JournalRecord& record) const;

  World* const world_;
  uint64_t head_ = 0;
};

}  // namespace brood::simulation
