// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace brood {

// A wait that nobody can end: the only thread of a process waits, without a time-out, on a futex
// that is private to the process. No other thread is there to wake it, and no other process can;
// only a signal's function could take it elsewhere.
struct LoneWait {
  uint64_t futex_address = 0;
  uint64_t run_ns = 0;  // CPU time of the process so far
  bool operator==(const LoneWait&) const = default;
};

// Whether the text of /proc/PID/syscall is that of such a wait; the futex's address.
std::optional<uint64_t> ParseLoneWait(std::string_view syscall);

// What the process is doing now, if it is that. Nothing also where it may not be looked at.
std::optional<LoneWait> FindLoneWait(pid_t pid);

}  // namespace brood
