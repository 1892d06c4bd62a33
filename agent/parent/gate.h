// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

namespace brood {

// Who passes a gate shows it here for as long as it is inside, so that a fork
// that waits in vain can name it.
using GateMark = std::atomic<bool>;

// Stands between changes of brood's own memory (cells) and fork: whoever changes
// it passes for a moment, a fork closes the gate. So no lock of brood is held,
// and nothing is half changed, in the child. Other libraries' locks are not
// covered. Passing must not be nested.
class Gate {
 public:
  Gate();
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // Waits until nobody is inside and lets nobody in; false after `wait_ns`.
  bool Close(int64_t wait_ns);
  // By the thread that closed it.
  void Open();
  // In a forked child, instead of Open: the lock knows threads that are not here.
  void OpenInChild();

  // Inside the gate for its lifetime. `mark` may be null.
  class Pass {
   public:
    Pass(Gate* gate, GateMark* mark);
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    Gate* const gate_;
    GateMark* const mark_;
  };

 private:
  void Initialise();
  pthread_rwlock_t lock_;
};

}  // namespace brood
