// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace brood {

// Nanoseconds since boot (CLOCK_BOOTTIME), and since the epoch: two types, so
// that neither is taken for the other.
struct BootTime {
  int64_t ns = 0;
};
struct WallTime {
  int64_t ns = 0;
};

// Both clocks, read together.
struct Instant {
  BootTime boot;
  WallTime wall;
};

// Where time comes from. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant Now() const = 0;
};

class RealClock final : public Clock {
 public:
  Instant Now() const override;
};

// CLOCK_BOOTTIME in nanoseconds; async-signal-safe.
int64_t BootTimeNanos() noexcept;

// The kernel's boot id, e.g. "1b4e28ba-2fa1-11d2-883f-0016d3cca427"; "unknown" if it cannot be
// read.
std::string ReadBootId();

}  // namespace brood
