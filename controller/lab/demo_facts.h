// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller/lab/one_job.h"

namespace brood {

// The parent's memory, as it was read from the parent itself.
struct ParentReading {
  int32_t pid = 0;
  uint64_t address = 0;
  std::optional<int64_t> value;
};

// What was read from one host; nothing here is concluded from a mode.
struct DemoFacts {
  std::string host;
  // The same work three times: the system's own program, and a task in both modes.
  RanJob wc;
  RanJob words_fork;
  RanJob words_thread;
  // One cell: written by a thread, read in the parent, written by a fork, read again.
  RanJob add_thread;
  ParentReading after_thread;
  RanJob add_fork;
  ParentReading after_fork;
};

// What the demo adds to the cell.
inline constexpr int64_t kThreadAdds = 5;
inline constexpr int64_t kForkAdds = 100;

// One claim, and whether what was read bears it out on every host.
struct Finding {
  std::string sentence;
  bool held = false;
};

// The claims of the demo. Pure.
std::vector<Finding> Judge(const std::vector<DemoFacts>& hosts);

// The words that `wc -w` counted, or that a call returned; nothing if it is no number.
std::optional<int64_t> CountOf(const RanJob& ran);

}  // namespace brood
