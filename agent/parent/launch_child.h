// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <memory>

#include "agent/parent/exec_plan.h"
#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

struct LaunchedChild {
  pid_t pid = -1;  // -1: error_number says why there is none
  int error_number = 0;
  UniqueFd pidfd;
};

// Creates children that become commands. They share our memory until they
// execute, so nothing is copied, however big we are. One thread.
class ChildLauncher {
 public:
  static Result<std::unique_ptr<ChildLauncher>> Create();
  ~ChildLauncher();
  ChildLauncher(const ChildLauncher&) = delete;
  ChildLauncher& operator=(const ChildLauncher&) = delete;

  // Returns once the child has executed or failed; then its slot says how.
  LaunchedChild Launch(const ExecPointers& plan);

 private:
  explicit ChildLauncher(char* stack) : stack_(stack) {}
  char* const stack_;
};

}  // namespace brood
