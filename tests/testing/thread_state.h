// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <fstream>
#include <string>
#include <thread>

namespace brood::testing {

// Waits until a thread of this process sleeps in the kernel. It must be about to.
inline void WaitUntilAsleep(pid_t tid) {
  for (;;) {
    std::ifstream stat("/proc/self/task/" + std::to_string(tid) + "/stat");
    std::string text;
    std::getline(stat, text);
    const size_t name_end = text.rfind(')');
    if (name_end != std::string::npos && text.compare(name_end, 3, ") S") == 0) return;
    std::this_thread::yield();
  }
}

}  // namespace brood::testing
