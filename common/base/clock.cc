// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "common/base/unique_fd.h"

namespace brood {
namespace {

int64_t Nanos(clockid_t id) noexcept {
  timespec now{};
  ::clock_gettime(id, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

Instant RealClock::Now() const {
  return Instant{BootTime{Nanos(CLOCK_BOOTTIME)}, WallTime{Nanos(CLOCK_REALTIME)}};
}

int64_t BootTimeNanos() noexcept { return Nanos(CLOCK_BOOTTIME); }

std::string ReadBootId() {
  const UniqueFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[64];
  const ssize_t size = fd ? ::read(fd.get(), text, sizeof(text)) : -1;
  if (size < 36) return "unknown";
  return std::string(text, 36);
}

}  // namespace brood
