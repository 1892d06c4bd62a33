// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/journal/journal.h"

namespace brood {

// Somebody who reads the journal and wants to know when there is more of it.
class EventReader {
 public:
  virtual ~EventReader() = default;
  // There may be more to read. Must not block; called without locks.
  virtual void OnMore() = 0;
};

// Wakes the readers that new records concern. It holds no records: readers pull
// from the journal, so a slow one costs nothing here. Thread-safe.
//
// While the host is busy, readers are told in rounds: each message to one costs
// a write and some four wake-ups on both sides, more than a job costs the agent,
// and what they learn a few milliseconds later starts no job later.
class EventFeed {
 public:
  // Shared with the feed: a late wake-up must meet a living object.
  using Reader = std::shared_ptr<EventReader>;
  // Calls back once, a round later, in any thread.
  using Later = std::function<void(std::function<void()>)>;

  explicit EventFeed(Later later) : later_(std::move(later)) {}

  // Every record concerns this one.
  void AddForAll(Reader reader);
  // Records of this job concern it.
  void AddForJob(uint64_t job_key, Reader reader);
  void RemoveFromJob(uint64_t job_key, const EventReader* reader);
  // From all and from every job.
  void Remove(const EventReader* reader, const std::vector<uint64_t>& job_keys);

  // `busy`: tell them with the round, not now. Not being busy ends a round early.
  void Publish(const std::vector<JournalRecord>& records, bool busy);

 private:
  void EndRound();

  const Later later_;
  absl::Mutex mutex_;
  std::vector<Reader> all_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, std::vector<Reader>> by_job_ ABSL_GUARDED_BY(mutex_);
  std::vector<Reader> due_ ABSL_GUARDED_BY(mutex_);  // to be told when the round ends
  bool in_round_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace brood
