// SPDX-License-Identifier: Apache-2.0
#include "agent/host/sequencer.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>

#include "common/base/failpoint.h"
#include "common/base/planted_bug.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// Decided, and not to be written: facts about jobs that run, some KiB each. 64 MiB are hours of a
// host's ends, and what a host can spare.
constexpr size_t kHeldBytesMax = 64 << 20;

// Without anybody waiting, the journal is synced each so many bytes: a segment is whole on the disk
// before the next begins, and the committer should not wait long for that.
constexpr uint64_t kUnsyncedBytes = 4 << 20;

// How long a look at the disk's room holds: a fast disk fills some hundred MiB of it meanwhile, a
// busy agent takes in a thousand jobs.
constexpr int64_t kRoomNanos = 100'000'000;

// What the sync thread commits before it goes back to its own work, which others wait for.
constexpr int kRoundsOfSync = 2;

template <typename T>
void MoveTo(std::vector<T>* to, std::vector<T>* from) {
  to->insert(to->end(), std::make_move_iterator(from->begin()),
             std::make_move_iterator(from->end()));
  from->clear();
}

size_t BytesOf(const Batch& batch) {
  size_t bytes = 0;
  for (const JournalRecord& record : batch.records) bytes += record.payload.size();
  for (const auto& [job_key, environment] : batch.environments) bytes += environment.size();
  return bytes;
}

}  // namespace

Sequencer::Sequencer(Core* core, Journal* journal, EnvironmentFile* environments,
                     const Clock* clock, CommitListener* listener)
    : core_(core),
      journal_(journal),
      environments_(environments),
      clock_(clock),
      listener_(listener),
      syncs_(std::make_unique<SyncThread>(
          journal, environments, [this](const Result<uint64_t>& through) { OnSync(through); })) {}

bool Sequencer::Commit(int rounds) {
  mutex_.Lock();
  if (committing_) {
    mutex_.Unlock();
    return true;
  }
  committing_ = true;
  bool more = false;
  for (;;) {
    more = rounds-- == 0;
    if (more) break;
    const bool trouble_moved = TellTrouble();
    const int64_t deadline = core_->NextDeadline();
    const bool deadline_moved = deadline != deadline_;
    if (pending_.batch.empty() && pending_.done.empty() && !deadline_moved && !trouble_moved &&
        !recover_) {
      break;
    }
    Pending pending = std::exchange(pending_, Pending());
    deadline_ = deadline;
    const bool busy = core_->queued() > 0;
    const bool recover = std::exchange(recover_, false);
    mutex_.Unlock();
    if (trouble_moved) listener_->OnJournalTrouble(Trouble());
    Round(std::move(pending), recover, busy);
    if (deadline_moved) listener_->OnDeadline(deadline);
    mutex_.Lock();
  }
  committing_ = false;
  mutex_.Unlock();
  return !more;
}

void Sequencer::Round(Pending pending, bool recover, bool busy) {
  if (recover && Trouble()) {
    Status failed = journal_->Recover();
    if (!failed && environments_ != nullptr) failed = environments_->Recover();
    // Durable jobs may wait for a sync that had failed.
    if (!failed) syncs_->Want();
  }
  if (unwritten_) {
    Hold(std::move(pending));
    if (!recover) return;
    pending = Pending{std::exchange(held_, Batch()), {}};
    held_bytes_ = 0;
  }
  if (Planted(Bug::kAckBeforeJournal)) {
    for (const Acknowledgement& one : std::exchange(pending.done, {})) one.done(Ok());
  }
  if (Planted(Bug::kTellBeforeJournal))
    listener_->OnEffects(std::exchange(pending.batch.effects, {}));
  Failpoint("commit.decided");
  const Status unkept = Write(&pending.batch);
  if (unwritten_) return Hold(std::move(pending));
  holding_ = false;
  Failpoint("commit.written");
  // The parents first: they work while the readers are told.
  if (!pending.batch.effects.empty()) listener_->OnEffects(std::move(pending.batch.effects));
  Failpoint("commit.done");
  // Acknowledged, then published: a client learns that its job is there, then what it does.
  std::vector<Acknowledgement> waiting;
  for (Acknowledgement& one : pending.done) {
    if (unkept || one.kept == Kept::kWritten || Planted(Bug::kAckBeforeSync)) {
      one.done(unkept);
    } else {
      waiting.push_back(std::move(one));
    }
  }
  Failpoint("commit.acknowledged");
  if (!pending.batch.records.empty()) listener_->OnPublished(pending.batch.records, busy);
  AwaitSync(pending.batch.sync, std::move(waiting));
}

// Whether an environment could not be kept; unwritten_: whether the records could not.
Status Sequencer::Write(Batch* batch) {
  Status unkept;
  if (environments_ != nullptr && !batch->environments.empty()) {
    unkept = environments_->Keep(batch->environments);
    batch->environments.clear();
  }
  Failpoint("commit.environments_kept");
  unwritten_ = batch->records.empty() ? Ok() : journal_->Append(batch->records);
  if (!unwritten_ && environments_ != nullptr && !batch->spent_environments.empty())
    environments_->Forget(batch->spent_environments);
  return unkept;
}

// What was decided cannot be made true now.
void Sequencer::Hold(Pending pending) {
  holding_ = true;
  for (const Acknowledgement& one : pending.done) one.done(unwritten_);
  Batch& batch = pending.batch;
  // A wish of now that needs no record: a job that runs can be ended whatever the disk does.
  if (batch.records.empty()) {
    std::vector<Effect> signals;
    std::copy_if(batch.effects.begin(), batch.effects.end(), std::back_inserter(signals),
                 [](const Effect& one) { return std::holds_alternative<SignalJobEffect>(one); });
    std::erase_if(batch.effects,
                  [](const Effect& one) { return std::holds_alternative<SignalJobEffect>(one); });
    if (!signals.empty()) listener_->OnEffects(std::move(signals));
  }
  held_bytes_ += BytesOf(batch);
  if (held_bytes_ > kHeldBytesMax) {
    // Jobs, parents and supervisor go on, and note what happens; the next agent reads it.
    spdlog::critical("{}; {} MiB wait to be written, the agent ends", unwritten_->message,
                     kHeldBytesMax >> 20);
    std::_Exit(1);
  }
  MoveTo(&held_.environments, &batch.environments);
  MoveTo(&held_.records, &batch.records);
  MoveTo(&held_.spent_environments, &batch.spent_environments);
  MoveTo(&held_.effects, &batch.effects);
  held_.sync |= batch.sync;
}

void Sequencer::AwaitSync(bool wanted, std::vector<Acknowledgement> done) {
  if (!done.empty()) {
    const uint64_t cursor = journal_->head();
    const MutexLock lock(&mutex_);
    for (Acknowledgement& one : done) waiting_.push_back(Waiting{cursor, std::move(one.done)});
    wanted = true;
  }
  if (wanted || journal_->unsynced_bytes() > kUnsyncedBytes) syncs_->Want();
}

void Sequencer::OnSync(const Result<uint64_t>& through) {
  std::vector<Done> done;
  {
    const MutexLock lock(&mutex_);
    // Who waits for a sync that failed is told so: it may be tried in vain for long.
    const uint64_t cursor = through ? *through : UINT64_MAX;
    while (!waiting_.empty() && waiting_.front().cursor <= cursor) {
      done.push_back(std::move(waiting_.front().done));
      waiting_.pop_front();
    }
    if (through) core_->OnSynced(*through, &pending_.batch);
  }
  for (const Done& one : done) one(through ? Ok() : Status(through.error()));
  if (!Commit(kRoundsOfSync)) listener_->OnMore();
}

Status Sequencer::Trouble() const {
  if (unwritten_) return unwritten_;
  if (Status trouble = journal_->Trouble()) return trouble;
  return environments_ == nullptr ? Ok() : environments_->Trouble();
}

// True if it is another one than the core knows.
bool Sequencer::TellTrouble() {
  const Status trouble = Trouble();
  std::string text = trouble ? trouble->message : "";
  if (text == told_) return false;
  told_ = std::move(text);
  core_->OnJournalTrouble(clock_->Now(), trouble, &pending_.batch);
  return true;
}

void Sequencer::CheckRoom() {
  const int64_t now = clock_->Now().boot.ns;
  {
    const MutexLock lock(&mutex_);
    if (now < next_check_ns_) return;
    next_check_ns_ = now + kRoomNanos;
  }
  (void)journal_->CheckRoom();
  // The core is told of what is new of it, of its end too.
  Commit();
}

void Sequencer::Recover() {
  {
    const MutexLock lock(&mutex_);
    recover_ = true;
  }
  Commit();
}

bool Sequencer::AllCommitted() const {
  const MutexLock lock(&mutex_);
  return !committing_ && !holding_ && pending_.batch.empty();
}

}  // namespace brood
