// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "common/base/error.h"
#include "controller/lab/process_table.h"

namespace brood {

// What became of a guarded body.
struct Guarded {
  // What it returned; 128 + n if signal n ended it.
  int exit_code = 0;
  // The signal that told us to stop: SIGINT, SIGTERM or SIGHUP; 0 if none did.
  int stopped_by = 0;
  // Processes that it had started, at any depth, and left alive (none are meant to be, so
  // they were given a moment to end). They were killed.
  std::vector<Process> left;
};

// Runs `body` in a child process and returns when that and every process that it
// started, directly or not, has ended: at a signal to stop, or after the body, all
// that is left is killed. The caller must have one thread only, and no children.
// Makes the caller a subreaper, so that no orphan can slip away, and leaves those
// three signals blocked, so that it can tidy up before it ends.
Result<Guarded> RunGuarded(const std::function<int()>& body);

}  // namespace brood
