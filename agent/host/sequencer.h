// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/core.h"
#include "agent/host/sync_thread.h"
#include "agent/journal/environment_file.h"
#include "agent/journal/journal.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace brood {

// Who is told what the sequencer has committed. Called by the committing thread,
// one at a time, in order, without its lock.
class CommitListener {
 public:
  virtual ~CommitListener() = default;
  // These records are in the journal. `busy`: jobs wait for a slot.
  virtual void OnPublished(const std::vector<JournalRecord>& records, bool busy) = 0;
  // These things are to be done.
  virtual void OnEffects(std::vector<Effect> effects) = 0;
  // The core next has to be woken at this time (CLOCK_BOOTTIME).
  virtual void OnDeadline(int64_t boot_ns) = 0;
  // The journal is in trouble; or no more. While it is, Recover is to be called now and then.
  virtual void OnJournalTrouble(const Status& trouble) = 0;
  // There is more to commit than this thread should: another one is to call Commit.
  virtual void OnMore() = 0;
};

// The core's one lock, and the one road from a decision to the world: steps are
// taken under the lock, their records gathered; one committer at a time writes
// them to the journal, then has the effects performed, acknowledges and publishes.
//
// What waits for the disk (durable jobs) waits beside that road: the core holds
// the start back until it hears of the sync, this class the acknowledgement.
//
// Where the journal cannot be written, what was decided is held until it can be:
// nothing of it is done, acknowledged or shown before. The core is told, and
// takes nothing new.
class Sequencer {
 public:
  // Tells whether what was asked for is kept, and where not, why: it may be kept later.
  using Done = std::function<void(const Status& failed)>;
  // How sure an acknowledgement has to be.
  enum class Kept { kWritten, kOnDisk };

  // `environments` may be null: then none is kept.
  Sequencer(Core* core, Journal* journal, EnvironmentFile* environments, const Clock* clock,
            CommitListener* listener);

  // One input: `step(core, now, batch)`. Nothing is written before Commit.
  template <typename F>
  auto Step(F&& step) {
    const Instant now = clock_->Now();
    const MutexLock lock(&mutex_);
    return step(*core_, now, &pending_.batch);
  }

  // The same, and `done` is called once all that was decided up to here is in
  // the journal: what an acknowledgement waits for. Call Commit afterwards.
  template <typename F>
  auto Step(F&& step, Kept kept, Done done) {
    const Instant now = clock_->Now();
    const MutexLock lock(&mutex_);
    pending_.done.push_back(Acknowledgement{kept, std::move(done)});
    return step(*core_, now, &pending_.batch);
  }

  // To look at the core.
  template <typename F>
  auto Look(F&& look) const {
    const MutexLock lock(&mutex_);
    return look(static_cast<const Core&>(*core_));
  }

  // Writes what has been decided, unless another thread is doing so: that one
  // then takes this along.
  void Commit() { (void)Commit(INT32_MAX); }

  // Before something new is taken in: whether the disk has room for it, if that
  // is not known of this moment. Thread-safe, some microseconds.
  void CheckRoom();

  // Commits, and first tries to get the journal out of its trouble.
  void Recover();

  // True if all that was decided is in the journal.
  bool AllCommitted() const;

  // No sync begins after this. To be called before the listener goes.
  void StopSyncs() { syncs_->Stop(); }

 private:
  struct Acknowledgement {
    Kept kept;
    Done done;
  };
  struct Pending {
    Batch batch;
    std::vector<Acknowledgement> done;
  };
  struct Waiting {
    uint64_t cursor;
    Done done;
  };

  // At most so many rounds; false if there is more.
  bool Commit(int rounds);
  // The committer's.
  void Round(Pending pending, bool recover, bool busy);
  void Hold(Pending pending);
  Status Write(Batch* batch);
  void AwaitSync(bool wanted, std::vector<Acknowledgement> done);
  Status Trouble() const;
  bool TellTrouble() BROOD_REQUIRES(mutex_);
  void OnSync(const Result<uint64_t>& through);

  mutable Mutex mutex_;
  Core* const core_ BROOD_PT_GUARDED_BY(mutex_);
  Journal* const journal_;               // used by the committer, and to sync
  EnvironmentFile* const environments_;  // likewise
  const Clock* const clock_;
  CommitListener* const listener_;
  Pending pending_ BROOD_GUARDED_BY(mutex_);
  bool committing_ BROOD_GUARDED_BY(mutex_) = false;
  bool recover_ BROOD_GUARDED_BY(mutex_) = false;
  int64_t deadline_ BROOD_GUARDED_BY(mutex_) = INT64_MAX;
  int64_t next_check_ns_ BROOD_GUARDED_BY(mutex_) = 0;
  std::deque<Waiting> waiting_ BROOD_GUARDED_BY(mutex_);  // for a sync, by cursor

  // The committer's own.
  Batch held_;  // could not be written
  size_t held_bytes_ = 0;
  Status unwritten_;  // why
  std::string told_;  // the trouble that the core knows
  std::atomic<bool> holding_{false};

  std::unique_ptr<SyncThread> syncs_;  // last: its thread uses what is above
};

}  // namespace brood
