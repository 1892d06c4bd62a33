// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <mutex>
#include <string>
#include <vector>

#include "agent/sdk/task.h"

namespace brood {

// Mutexes of task libraries that brood was told of: what is held when the process
// is forked stays held in the child for ever. They live as long as the process.
// Thread-safe; every Add must be made inside the gate, so that no fork copies a
// held lock.
class KnownMutexes {
 public:
  struct Held {
    std::string name;
    pid_t tid = 0;  // of the thread that holds it; 0: the mutex does not record it
  };

  // BROOD_WRONG_TYPE for none, BROOD_TOO_LARGE if there are kKnownMutexesMax. The same name
  // again stands for the new place.
  int Add(const std::string& name, const pthread_mutex_t* mutex);

  // Those that are held now, in the order of their names. Takes none of them: what it says can
  // be over when it is read.
  std::vector<Held> held() const;

 private:
  struct Known {
    std::string name;
    const pthread_mutex_t* mutex;
  };
  mutable std::mutex mutex_;
  std::vector<Known> known_;  // guarded by mutex_; sorted by name
};

}  // namespace brood
