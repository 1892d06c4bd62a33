// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/error.h"

namespace brood {

// What the supervisor tells a parent on its command line.
struct ParentOptions {
  std::string name;
  uint64_t incarnation = 0;
  std::string directory;               // for outbox and slot file; exists
  std::string socket;                  // where it listens
  uint32_t call_slots = 0;             // processes that may live at once
  std::vector<std::string> libraries;  // task libraries, absolute paths
  // A byte comes on standard input once the supervisor has noted the start; its end without one
  // means that nobody will ever know of this process.
  bool awaits_go = false;
};

// INVALID_ARGUMENT, naming the option, for one that is missing, unknown or no number.
Result<ParentOptions> ParseParentOptions(int argc, const char* const* argv);

}  // namespace brood
