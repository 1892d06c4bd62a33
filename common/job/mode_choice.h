// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "brood/v1/job.pb.h"

namespace brood {

// What a task declares about itself; both false for a command.
struct TaskTraits {
  bool isolated = false;
  bool shares_memory = false;
};

// The library of a task LIBRARY.NAME.
std::string LibraryOf(const std::string& task);

// MODE_FORK or MODE_THREAD, and the sentence that STARTING and `brood run --explain` give for it.
struct ModeChoice {
  v1::Mode mode = v1::MODE_FORK;
  std::string reason;
};

// The table of docs/architecture.md, for a spec that ValidateJobSpec took: an explicit mode as
// asked, else the first row that fits. `library_crashed_before`: a task of the same library has
// ended this parent before. `default_mode` is the agent's; anything but MODE_THREAD counts as
// MODE_FORK.
ModeChoice ChooseMode(const v1::JobSpec& spec, const TaskTraits& task, bool library_crashed_before,
                      v1::Mode default_mode);

}  // namespace brood
