// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "agent/parent/asymmetric_barrier.h"

namespace brood {

class Gate;

// Who passes a gate again and again says here, for as long as it is inside, that
// it is: so that passing writes to no memory that others write to, and a fork that
// waits in vain can name it. Used by one thread at a time, but for inside().
class GateMark {
 public:
  // Of the gate that it is for; that must live longer.
  explicit GateMark(Gate* gate);
  ~GateMark();
  GateMark(const GateMark&) = delete;
  GateMark& operator=(const GateMark&) = delete;

  // Any thread.
  bool inside() const { return inside_.load(std::memory_order_relaxed) != 0; }

 private:
  friend class Gate;
  Gate* const gate_;
  std::atomic<uint32_t> inside_{0};
  // In the gate's list; guarded by the gate's mutex.
  GateMark* next_ = nullptr;
  GateMark* previous_ = nullptr;
};

// Stands between changes of brood's own memory (cells) and fork: whoever changes
// it passes for a moment, a fork closes the gate. So no lock of brood is held,
// and nothing is half changed, in the child. Other libraries' locks are not
// covered. Passing must not be nested. One thread closes.
//
// Passing is for every write of a cell, closing for a fork: so passing is two plain
// stores, and the closer makes all threads' stores visible (docs/adr/0011-asymmetric-gate.md).
class Gate {
 public:
  Gate();
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // Waits until nobody is inside and lets nobody in; false, and it is open again, after
  // `wait_ns`. While it is closed no mark can be made or destroyed.
  bool Close(int64_t wait_ns);
  // By the thread that closed it.
  void Open();
  // In a forked child, instead of Open: the marks are of threads that are not here.
  void OpenInChild();

  // AsymmetricBarrier is registered.
  bool asymmetric() const { return asymmetric_; }

  // Inside the gate for its lifetime. `mark` may be null: for who passes seldom.
  class Pass {
   public:
    Pass(Gate* gate, GateMark* mark)
        : gate_(gate), inside_(mark != nullptr ? &mark->inside_ : nullptr) {
      gate_->Say(inside_);
      if (gate_->Closes()) gate_->WaitToEnter(inside_);
    }
    ~Pass() {
      gate_->Unsay(inside_);
      if (gate_->Closes()) gate_->LetGo();
    }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    Gate* const gate_;
    std::atomic<uint32_t>* const inside_;
  };

 private:
  friend class GateMark;
  // Either the closer sees that one is inside, or that one sees that it closes: the closer's
  // barrier lies between its store of closed_ and its look at the marks, and the passer's, for
  // which the closer's stands, between the passer's mark and its look at closed_.
  void Say(std::atomic<uint32_t>* inside) {
    if (inside == nullptr) {
      unmarked_.fetch_add(1, std::memory_order_seq_cst);
    } else if (asymmetric_) {
      inside->store(1, std::memory_order_relaxed);
      AsymmetricBarrier::Light();
    } else {
      inside->store(1, std::memory_order_seq_cst);
    }
  }
  void Unsay(std::atomic<uint32_t>* inside) {
    if (inside == nullptr) {
      unmarked_.fetch_sub(1, std::memory_order_seq_cst);
    } else if (asymmetric_) {
      inside->store(0, std::memory_order_release);
      AsymmetricBarrier::Light();
    } else {
      inside->store(0, std::memory_order_seq_cst);
    }
  }
  bool Closes() const { return closed_.load(std::memory_order_seq_cst) != 0; }
  void WaitToEnter(std::atomic<uint32_t>* inside);
  void LetGo();
  bool AnyInside() const;

  const bool asymmetric_;            // the kernel gives the barrier
  std::atomic<uint32_t> closed_{0};  // a futex: who wants in waits for 0
  std::atomic<uint32_t> left_{0};    // a futex: grows when somebody leaves a closing gate
  std::atomic<uint32_t> unmarked_{0};
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;  // held while the gate is closed
  GateMark* first_ = nullptr;                          // guarded by mutex_
};

}  // namespace brood
