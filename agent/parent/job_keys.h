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
  // `agent`, by its incarnation, asks whether the job is known. True if it is not: then only an
  // attempt that this agent or a later one asks for will be taken; one that an older agent had
  // asked for may still be on its way.
  bool Refuse(uint64_t key, uint64_t agent) {
    const std::lock_guard lock(mutex_);
    if (Insert(key)) {
      refused_[key] = agent;
      return true;
    }
    const auto found = refused_.find(key);
    if (found == refused_.end()) return false;
    found->second = agent;
    return true;
  }

  // Whether to start an attempt of it that `agent` asks for: the first, once; another, if those
  // before were refused to it or to one before it.
  bool Take(uint64_t key, uint64_t agent) {
    const std::lock_guard lock(mutex_);
    if (Insert(key)) return true;
    const auto found = refused_.find(key);
    if (found == refused_.end() || agent < found->second) return false;
    refused_.erase(found);
    return true;
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
  // To which agent. Guarded by mutex_.
  std::unordered_map<uint64_t, uint64_t> refused_;
};

}  // namespace brood
