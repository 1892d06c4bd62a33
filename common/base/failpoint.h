// SPDX-License-Identifier: Apache-2.0
//
// Points at which a test lets a process of brood die, fail or wait (docs/hacking.md). Programs that
// are built with BROOD_FAILPOINTS do what the file that the variable BROOD_FAILPOINTS names is
// armed with (failpoint_table.h); they are never installed. In all others these functions are empty
// when they are compiled, and nothing of a point is left.
//
// Every point stands in tests/chaos/failpoint_list.cc. In a forked child of the process a point is
// none, unless it is FailpointInChild.
#pragma once

#include <cstddef>

namespace brood {

#ifdef BROOD_FAILPOINTS

// The process may die here, or wait for a moment.
void Failpoint(const char* name);

// Before a system call: it may also be made to fail (true, and errno is set), or to take less than
// `*size`. Where the call is short, the next one here may find the process killed.
bool FailsAt(const char* name, size_t* size = nullptr);

// In a child between its creation and its end, with what it has of its parent's memory: its parent
// may die here, or the child wait. Async-signal-safe.
void FailpointInChild(const char* name);

#else

constexpr void Failpoint(const char* /*unused*/) {}
constexpr bool FailsAt(const char* /*unused*/, size_t* /*unused*/ = nullptr) { return false; }
constexpr void FailpointInChild(const char* /*unused*/) {}

#endif

}  // namespace brood
