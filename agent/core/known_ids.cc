// SPDX-License-Identifier: Apache-2.0
#include "agent/core/known_ids.h"

#include <algorithm>
#include <utility>

#include "common/base/checksum.h"

namespace brood {
namespace {

// 64 ids each at the most, on average: some cache lines that follow each other.
constexpr size_t kBuckets = 1 << 14;
// A bucket's room grows by so much of it: doubled, half of it would be empty.
constexpr size_t kBucketGrowth = 4;
// And at the first by so many: most of a young host's buckets have one.
constexpr size_t kBucketIdsMin = 2;

}  // namespace

uint64_t HashOfJobId(std::string_view job_id) { return Crc64(job_id.data(), job_id.size()); }

KnownIds::KnownIds(uint64_t kept) : kept_(kept), buckets_(kBuckets) {}

bool KnownIds::IsKept(const KnownId& id) const {
  return static_cast<uint32_t>(total_) - id.number <= kept_;
}

void KnownIds::Add(KnownId id, bool fresh) {
  std::vector<KnownId>& bucket = buckets_[BucketOf(id.hash)];
  id.number = static_cast<uint32_t>(total_++);
  const auto first = std::find_if(bucket.begin(), bucket.end(),
                                  [this](const KnownId& old) { return IsKept(old); });
  bucket.erase(bucket.begin(), first);
  if (bucket.size() == bucket.capacity())
    bucket.reserve(bucket.size() + std::max(kBucketIdsMin, bucket.size() / kBucketGrowth));
  bucket.push_back(id);
  if (fresh) fresh_.push_back(id);
}

const KnownId* KnownIds::Find(uint64_t hash) const {
  const std::vector<KnownId>& bucket = buckets_[BucketOf(hash)];
  // The newest first: an id that was dropped may have come again.
  for (auto id = bucket.rbegin(); id != bucket.rend(); ++id) {
    if (id->hash == hash) return IsKept(*id) ? &*id : nullptr;
  }
  return nullptr;
}

std::deque<KnownId> KnownIds::TakeFresh() { return std::exchange(fresh_, {}); }

}  // namespace brood
