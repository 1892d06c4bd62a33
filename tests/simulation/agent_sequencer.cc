// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/agent_sequencer.h"

#include <iterator>
#include <variant>

#include "tests/simulation/agent_program.h"

namespace brood::simulation {
namespace {

constexpr int64_t kRecoverNanos = 500'000'000;

template <typename T>
void MoveTo(std::vector<T>* to, std::vector<T>* from) {
  to->insert(to->end(), std::make_move_iterator(from->begin()),
             std::make_move_iterator(from->end()));
  from->clear();
}

}  // namespace

void AgentSequencer::Commit() {
  if (std::exchange(committing_, true)) return;
  for (;;) {
    TellTrouble();
    const int64_t deadline = core_->NextDeadline();
    const bool deadline_moved = std::exchange(deadline_, deadline) != deadline;
    const bool recovered = !in_trouble_ && !held_.empty();
    if (pending_.batch.empty() && pending_.done.empty() && !deadline_moved && !recovered &&
        !pending_.batch.sync) {
      break;
    }
    Pending pending = std::exchange(pending_, Pending());
    if (in_trouble_) {
      Hold(std::move(pending));
    } else {
      Write(std::move(pending));
    }
    if (deadline_moved) agent_->OnDeadline(deadline);
  }
  committing_ = false;
}

void AgentSequencer::TellTrouble() {
  if (world_->disk.full == in_trouble_) return;
  in_trouble_ = world_->disk.full;
  Status trouble;
  if (in_trouble_) {
    world_->kernel.Count(Sometimes::kAgentHoldsOnFullDisk);
    trouble = Error{ErrorCode::kResourceExhausted, "JOURNAL_FULL", "the disk is full", ""};
    agent_->At(kRecoverNanos, [this] { Commit(); });
  }
  core_->OnJournalTrouble(world_->kernel.Now(), trouble, &pending_.batch);
}

void AgentSequencer::Hold(Pending pending) {
  for (const auto& [on_disk, done] : pending.done) done(false);
  Batch& batch = pending.batch;
  if (batch.records.empty()) {
    std::vector<Effect> signals;
    std::erase_if(batch.effects, [&](Effect& one) {
      if (!std::holds_alternative<SignalJobEffect>(one)) return false;
      signals.push_back(one);
      return true;
    });
    agent_->OnEffects(signals);
  }
  MoveTo(&held_.records, &batch.records);
  MoveTo(&held_.effects, &batch.effects);
  held_.sync |= batch.sync;
  agent_->At(kRecoverNanos, [this] { Commit(); });
}

void AgentSequencer::Write(Pending pending) {
  Batch batch = std::exchange(held_, Batch());
  MoveTo(&batch.records, &pending.batch.records);
  MoveTo(&batch.effects, &pending.batch.effects);
  batch.sync |= pending.batch.sync;
  if (!batch.records.empty()) journal_->Append(batch.records);
  agent_->OnEffects(batch.effects);
  for (auto& [on_disk, done] : pending.done) {
    if (on_disk) {
      waiting_.emplace_back(journal_->head(), std::move(done));
    } else {
      done(true);
    }
    batch.sync |= on_disk;
  }
  agent_->OnPublished();
  if (batch.sync) SyncLater();
}

void AgentSequencer::SyncLater() {
  if (std::exchange(sync_wanted_, true)) return;
  agent_->At(world_->random.Delay(200'000), [this] { Sync(); });
}

void AgentSequencer::Sync() {
  sync_wanted_ = false;
  world_->kernel.KillPoint();
  const uint64_t cursor = journal_->Sync();
  world_->kernel.Count(Sometimes::kSynced);
  world_->kernel.KillPoint();
  core_->OnSynced(cursor, &pending_.batch);
  std::vector<std::pair<uint64_t, Done>> later;
  for (auto& [until, done] : std::exchange(waiting_, {})) {
    if (until <= cursor) {
      done(true);
    } else {
      later.emplace_back(until, std::move(done));
    }
  }
  MoveTo(&waiting_, &later);
  if (!waiting_.empty()) SyncLater();
  Commit();
}

}  // namespace brood::simulation
