// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace brood {

// Every job key that this parent has been told, so that a job runs once however
// often it is sent. The agent counts keys up, so a bit each is enough: 120 KiB a
// million jobs. Thread-safe.
class JobKeys {
 public:
  // True the first time.
  bool Insert(uint64_t key) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Page>& page = pages_[key / kPageKeys];
    if (page == nullptr) page = std::make_unique<Page>();
    auto bit = (*page)[key % kPageKeys];
    if (bit) return false;
    bit = true;
    return true;
  }

 private:
  static constexpr uint64_t kPageKeys = 4096;
  using Page = std::bitset<kPageKeys>;
  std::mutex mutex_;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;  // guarded by mutex_
};

}  // namespace brood
