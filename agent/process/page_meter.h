// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace brood {

// What of a process's memory is its own, in bytes; from /proc/PID/smaps_rollup.
struct PageMeter {
  uint64_t private_dirty = 0;
  uint64_t shared_dirty = 0;
  uint64_t pss = 0;
  uint64_t rss = 0;
};

// The text of such a file. Nothing if it lacks one of the four.
std::optional<PageMeter> ParseSmapsRollup(std::string_view text);

// Nothing if the process is gone, or may not be looked at.
std::optional<PageMeter> ReadPageMeter(pid_t pid);

}  // namespace brood
