// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "agent/sdk/task.h"

namespace brood {

// Variables of task libraries and of their objects that can be read by name, from
// inside and from outside. They live as long as the process. Thread-safe; every
// change must be made inside the gate, so that no fork copies a held lock.
class ShownVariables {
 public:
  struct Variable {
    uint32_t type = BROOD_NULL;  // BROOD_BOOL, BROOD_INT or BROOD_FLOAT
    const void* address = nullptr;
  };

  // BROOD_WRONG_TYPE for another type or no address, BROOD_TOO_LARGE if there are kCellsMax. The
  // same name again stands for the new place.
  int Show(const std::string& name, uint32_t type, const void* address);
  std::map<std::string, Variable> all() const;

  // What stands there now, read as one word.
  static brood_value Read(const Variable& variable);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Variable> variables_;  // guarded by mutex_
};

}  // namespace brood
