// SPDX-License-Identifier: Apache-2.0
#include "agent/host/sequencer.h"

#include <cstdlib>

#include "spdlog/spdlog.h"

namespace brood {

void Sequencer::Commit() {
  mutex_.Lock();
  if (committing_) {
    mutex_.Unlock();
    return;
  }
  committing_ = true;
  for (;;) {
    Pending pending = std::exchange(pending_, Pending());
    const int64_t deadline = core_->NextDeadline();
    const bool deadline_moved = deadline != deadline_;
    deadline_ = deadline;
    const bool busy = core_->queued() > 0;
    if (pending.batch.empty() && pending.done.empty() && !deadline_moved) break;
    mutex_.Unlock();
    Write(pending.batch);
    // The parents first: they work while the readers are told.
    if (!pending.batch.effects.empty()) listener_->OnEffects(std::move(pending.batch.effects));
    // Acknowledged, then published: a client learns that its job is there, then what it does.
    for (const auto& done : pending.done) done();
    if (!pending.batch.records.empty()) listener_->OnPublished(pending.batch.records, busy);
    if (deadline_moved) listener_->OnDeadline(deadline);
    mutex_.Lock();
  }
  committing_ = false;
  mutex_.Unlock();
}

void Sequencer::Write(const Batch& batch) {
  Status failed;
  if (environments_ != nullptr && !batch.environments.empty())
    failed = environments_->Keep(batch.environments);
  if (!failed && !batch.records.empty()) failed = journal_->Append(batch.records);
  if (failed) {
    // What was decided cannot be made true. To go on would be to acknowledge
    // what nobody keeps: end here. Jobs, parents and supervisor go on, and
    // note what happens; the next agent reads it.
    spdlog::critical("the journal cannot be written: {}; the agent ends", failed->message);
    std::_Exit(1);
  }
  if (environments_ != nullptr && !batch.spent_environments.empty())
    environments_->Forget(batch.spent_environments);
}

bool Sequencer::AllCommitted() const {
  const absl::MutexLock lock(&mutex_);
  return !committing_ && pending_.batch.empty();
}

}  // namespace brood
