// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/host/sequencer.h"
#include "agent/journal/id_log.h"
#include "agent/journal/journal.h"

namespace brood {

// A snapshot is made after so many events, or so many bytes of them: what an agent that starts
// replays at the most, in tenths of a second; and a segment, so that a snapshot is always behind
// what retention would delete.
inline constexpr uint64_t kSnapshotEvents = 50'000;
inline constexpr uint64_t kSnapshotBytes = 16 << 20;

// Reads the newest snapshot, if there is one, and the ids that belong to it into the core.
// DATA_LOSS if they are not what a core has written.
Status RestoreCore(const Journal& journal, JournalFiles* files, const std::string& directory,
                   Core* core, std::unique_ptr<IdLog>* ids);

// Writes snapshots of the core, in a thread of its own. Jobs that are done with do not change any
// more: they are gathered some at a time. Only the others, and what has ended meanwhile, are
// gathered in one hold of the core's lock: some microseconds each.
class SnapshotThread {
 public:
  // After so many `events`; `replayed`: those that the next agent would replay again.
  SnapshotThread(Sequencer* sequencer, Journal* journal, std::unique_ptr<IdLog> ids,
                 uint64_t events, uint64_t replayed);
  // Without another snapshot.
  ~SnapshotThread();

  // From here on it takes steps and commits them.
  void Start();

  // These are in the journal. Called by one thread at a time.
  void OnWritten(const std::vector<JournalRecord>& records);

  // Writes one now, in the caller's thread; the caller says Stop first.
  Status Write();
  void Stop();

 private:
  void Run();
  // The jobs that are cleaned and had their last event before `begun`, by key.
  std::vector<std::pair<uint64_t, std::string>> GatherCleaned(uint64_t begun) const;

  const uint64_t period_;
  Sequencer* const sequencer_;
  Journal* const journal_;
  // The writer's own.
  std::unique_ptr<IdLog> ids_;
  std::string fresh_;  // entries that are not in ids_ yet

  // The committer's own.
  uint64_t events_;
  uint64_t bytes_ = 0;

  absl::Mutex mutex_;
  bool due_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace brood
