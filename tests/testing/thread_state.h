// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace brood::testing {

// Waits until a thread of this process sleeps in the kernel, at most 20 s. It must be about to.
inline void WaitUntilAsleep(pid_t tid) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < until) {
    std::ifstream stat("/proc/self/task/" + std::to_string(tid) + "/stat");
    std::string text;
    std::getline(stat, text);
    const size_t name_end = text.rfind(')');
    if (name_end != std::string::npos && text.compare(name_end, 3, ") S") == 0) return;
    std::this_thread::yield();
  }
  ADD_FAILURE() << "thread " << tid << " does not come to sleep";
}

}  // namespace brood::testing
