// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace brood {

// Whether a process that lived from `start_ns` to `end_ns` is the one of its pid that was there at
// `seen_ns` (all CLOCK_BOOTTIME): a pid is one process's at a time. So who makes a process notes a
// time when it is there already, never one before; /proc's start, rounded down to a tick, is no
// later. `end_ns`: a time at which its pid could not be another one's yet.
constexpr bool LivedAt(int64_t start_ns, int64_t end_ns, int64_t seen_ns) {
  return start_ns <= seen_ns && seen_ns <= end_ns;
}

}  // namespace brood
