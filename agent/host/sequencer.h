// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/core/core.h"
#include "agent/journal/environment_file.h"
#include "agent/journal/journal.h"
#include "common/base/clock.h"

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
};

// The core's one lock, and the one road from a decision to the world: steps are
// taken under the lock, their records gathered; one committer at a time writes
// them to the journal, then has the effects performed, acknowledges and publishes.
class Sequencer {
 public:
  // `environments` may be null: then none is kept.
  Sequencer(Core* core, Journal* journal, EnvironmentFile* environments, const Clock* clock,
            CommitListener* listener)
      : core_(core),
        journal_(journal),
        environments_(environments),
        clock_(clock),
        listener_(listener) {}

  // One input: `step(core, now, batch)`. Nothing is written before Commit.
  template <typename F>
  auto Step(F&& step) {
    const Instant now = clock_->Now();
    const absl::MutexLock lock(&mutex_);
    return step(*core_, now, &pending_.batch);
  }

  // The same, and `done` is called once all that was decided up to here is in
  // the journal: what an acknowledgement waits for. Call Commit afterwards.
  template <typename F>
  auto Step(F&& step, std::function<void()> done) {
    const Instant now = clock_->Now();
    const absl::MutexLock lock(&mutex_);
    pending_.done.push_back(std::move(done));
    return step(*core_, now, &pending_.batch);
  }

  // To look at the core.
  template <typename F>
  auto Look(F&& look) const {
    const absl::MutexLock lock(&mutex_);
    return look(static_cast<const Core&>(*core_));
  }

  // Writes what has been decided, unless another thread is doing so: that one
  // then takes this along.
  void Commit();

  // True if all that was decided is in the journal.
  bool AllCommitted() const;

 private:
  struct Pending {
    Batch batch;
    std::vector<std::function<void()>> done;
  };

  void Write(const Batch& batch);

  mutable absl::Mutex mutex_;
  Core* const core_ ABSL_PT_GUARDED_BY(mutex_);
  Journal* const journal_;               // used by the committer only
  EnvironmentFile* const environments_;  // likewise
  const Clock* const clock_;
  CommitListener* const listener_;
  Pending pending_ ABSL_GUARDED_BY(mutex_);
  bool committing_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t deadline_ ABSL_GUARDED_BY(mutex_) = INT64_MAX;
};

}  // namespace brood
