// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

namespace brood {

// Every job key that this parent has been told, so that a job runs once however
// often it is sent. The agent counts keys up, so a bit each is enough: 120 KiB a
// million jobs. Thread-safe.
class JobKeys {
 public:
  // True if it has never been told: then only another attempt will be, as the one that is asked for
  // may still be on its way.
  bool Refuse(uint64_t key) {
    const std::lock_guard lock(mutex_);
    return (Insert(key) && refused_.insert(key).second) || refused_.count(key) > 0;
  }

  // Whether to start that attempt of it: the first, once; another, once, if those before are
  // refused.
  bool Take(uint64_t key, uint32_t attempt) {
    const std::lock_guard lock(mutex_);
    return attempt > 1 ? refused_.erase(key) > 0 || Insert(key) : Insert(key);
  }

 private:
  bool Insert(uint64_t key) {
    std::unique_ptr<Page>& page = pages_[key / kPageKeys];
    if (page == nullptr) page = std::make_unique<Page>();
    auto bit = (*page)[key % kPageKeys];
    if (bit) return false;
    bit = true;
    return true;
  }

  static constexpr uint64_t kPageKeys = 4096;
  using Page = std::bitset<kPageKeys>;
  std::mutex mutex_;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;  // guarded by mutex_
  std::unordered_set<uint64_t> refused_;                       // guarded by mutex_
};

}  // namespace brood
