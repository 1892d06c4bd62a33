// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace brood {

// How long to wait between tries: twice as long each time, up to a longest pause, of which
// a random half is cut so that many who lost the same host do not come back at once.
// Pure: the random number is given.
class Backoff {
 public:
  constexpr Backoff(int64_t first_ns, int64_t longest_ns)
      : first_ns_(first_ns), longest_ns_(longest_ns), pause_ns_(first_ns) {}

  // The pause before the next try: between a half and the whole of what is due.
  int64_t Next(uint64_t random) {
    const int64_t due = pause_ns_;
    pause_ns_ = std::min(longest_ns_, pause_ns_ * 2);
    const int64_t half = due / 2;
    return due - static_cast<int64_t>(random % static_cast<uint64_t>(half + 1));
  }
  // The last try has done it.
  void Reset() { pause_ns_ = first_ns_; }

 private:
  int64_t first_ns_;
  int64_t longest_ns_;
  int64_t pause_ns_;
};

}  // namespace brood
