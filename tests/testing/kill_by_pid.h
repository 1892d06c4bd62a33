// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

namespace brood::testing {

// SIGKILL, or another signal, to one process. A pid that nobody told is 0, and one of a fork that
// failed -1: kill() would take those for our own group, and for everybody.
inline void KillByPid(int pid, int signal = SIGKILL) {
  ASSERT_GT(pid, 1) << "this is nobody's pid";
  ::kill(pid, signal);
}

}  // namespace brood::testing
