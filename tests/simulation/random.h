// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace brood::simulation {

// All chance of a run, from its seed alone: the same on every machine and with every library.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // splitmix64.
  uint64_t Next() {
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }
  uint64_t Below(uint64_t end) { return Next() % end; }
  int64_t Between(int64_t first, int64_t last) {
    return first + static_cast<int64_t>(Below(static_cast<uint64_t>(last - first + 1)));
  }
  // So many times in a thousand.
  bool Chance(uint32_t in_thousand) { return Below(1000) < in_thousand; }
  // Mostly short, now and then long: from `least`, each further doubling half as likely.
  int64_t Delay(int64_t least) {
    int64_t most = least * 2;
    while (most < least << 10 && Chance(400)) most *= 2;
    return Between(least, most);
  }

 private:
  uint64_t state_;
};

}  // namespace brood::simulation
