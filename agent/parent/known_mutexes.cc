// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/known_mutexes.h"

#include <algorithm>
#include <atomic>

#include "agent/parent/limits.h"

namespace brood {
namespace {

// Read as another thread may write it.
int Load(const int& word) {
  return std::atomic_ref<int>(const_cast<int&>(word)).load(std::memory_order_relaxed);
}

}  // namespace

int KnownMutexes::Add(const std::string& name, const pthread_mutex_t* mutex) {
  if (mutex == nullptr) return BROOD_WRONG_TYPE;
  const std::lock_guard lock(mutex_);
  const auto place =
      std::lower_bound(known_.begin(), known_.end(), name,
                       [](const Known& known, const std::string& key) { return known.name < key; });
  if (place != known_.end() && place->name == name) {
    place->mutex = mutex;
    return BROOD_OK;
  }
  if (known_.size() >= kKnownMutexesMax) return BROOD_TOO_LARGE;
  known_.insert(place, Known{name, mutex});
  return BROOD_OK;
}

std::vector<KnownMutexes::Held> KnownMutexes::held() const {
  std::vector<Held> held;
  const std::lock_guard lock(mutex_);
  for (const Known& known : known_) {
    // As glibc has it: the lock word is 0 if it is free; a robust or priority-inheriting mutex
    // has the owner's id in it, the others have it beside.
    if (Load(known.mutex->__data.__lock) == 0) continue;
    held.push_back(Held{known.name, Load(known.mutex->__data.__owner)});
  }
  return held;
}

}  // namespace brood
