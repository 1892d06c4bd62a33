// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <unordered_map>
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
class EventFeed {
 public:
  // Shared with the feed: a late wake-up must meet a living object.
  using Reader = std::shared_ptr<EventReader>;

  // Every record concerns this one.
  void AddForAll(Reader reader);
  // Records of this job concern it.
  void AddForJob(uint64_t job_key, Reader reader);
  void RemoveFromJob(uint64_t job_key, const EventReader* reader);
  // From all and from every job.
  void Remove(const EventReader* reader, const std::vector<uint64_t>& job_keys);

  void Publish(const std::vector<JournalRecord>& records);
  void WakeAll();

 private:
  absl::Mutex mutex_;
  std::vector<Reader> all_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, std::vector<Reader>> by_job_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace brood
