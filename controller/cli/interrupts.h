// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/clock.h"

namespace brood::cli {

// What an interrupt (Ctrl-C, SIGINT) asks for. Pure.
//
// On a terminal the first one shows where the run stands, a second within
// kSecondWithin cancels it; without a terminal the first cancels. Any one after a
// cancel leaves the jobs behind.
class Interrupts {
 public:
  // Long enough for a deliberate second press, too short for one that meant to look again.
  static constexpr int64_t kSecondWithinNanos = 2'000'000'000;

  enum class Step { kShow, kCancel, kLeave };

  explicit Interrupts(bool terminal) : terminal_(terminal) {}

  Step OnInterrupt(BootTime now);
  // The run was cancelled for another reason: the next interrupt leaves.
  void OnCancelled() { cancelled_ = true; }

 private:
  const bool terminal_;
  bool cancelled_ = false;
  std::optional<int64_t> shown_at_;
};

}  // namespace brood::cli
