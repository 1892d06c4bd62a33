// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "brood/v1/job.pb.h"

namespace brood {

// What is kept of a job that has ended and been forgotten, for longer than its events are.
struct KnownId {
  uint64_t hash = 0;          // HashOfJobId
  uint64_t first_cursor = 0;  // of its first event
  uint64_t job_key : 56 = 0;
  uint64_t outcome : 8 = 0;  // brood.v1.Outcome
  uint32_t digest = 0;       // of its spec
  uint32_t number = 0;       // of its Add, modulo 2^32; Add sets it
};
static_assert(sizeof(KnownId) == 32);

// Two ids have the same hash with a chance of 2^-64: one new id in 10^13 is taken for one of a
// million that are known. It is refused or answered as that other job; it never runs twice.
uint64_t HashOfJobId(std::string_view job_id);

// The newest ids of jobs that have been forgotten: submitted again, they do not run again. 32 bytes
// an id in memory, and on disk (agent/journal/id_log.h).
class KnownIds {
 public:
  // A million jobs: at the most 40 MiB of memory, and minutes of jobs at full speed, days of any
  // other use.
  static constexpr uint64_t kKept = uint64_t{1} << 20;

  explicit KnownIds(uint64_t kept = kKept);

  // `fresh`: it is not on disk yet, and is among those that TakeFresh gives.
  void Add(KnownId id, bool fresh);
  // Valid until the next Add; null if it is not among the newest.
  const KnownId* Find(uint64_t hash) const;
  // How many have been added in all, those that were dropped since included.
  uint64_t total() const { return total_; }
  // As Add, of `total` that there were, most of which nobody has any more.
  void StartAt(uint64_t total) { total_ = total; }
  // Those that were added fresh since the last call, oldest first.
  std::deque<KnownId> TakeFresh();

 private:
  bool IsKept(const KnownId& id) const;
  size_t BucketOf(uint64_t hash) const { return hash & (buckets_.size() - 1); }

  const uint64_t kept_;
  uint64_t total_ = 0;
  // Small, and each grows by itself: no step ever has to move them all. Oldest first.
  std::vector<std::vector<KnownId>> buckets_;
  std::deque<KnownId> fresh_;
};

}  // namespace brood
