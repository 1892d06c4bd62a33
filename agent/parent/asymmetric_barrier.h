// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

namespace brood {

// A full barrier whose cost one side bears alone (docs/adr/0011-asymmetric-gate.md). Who comes by
// often stores, then loads; who comes by seldom stores, then issues this, then loads: at least one
// of them sees the other's store.
class AsymmetricBarrier {
 public:
  // False where the kernel refuses membarrier(2), and under ThreadSanitizer, which does not know of
  // it: then both sides need sequentially consistent stores and loads. Also for later forks of this
  // process.
  static bool Register();
  // By who comes by seldom: some microseconds.
  static void Issue();

  // By who comes by often, between its store and its load.
  static void Light() { std::atomic_signal_fence(std::memory_order_seq_cst); }
};

}  // namespace brood
