// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/shown_variables.h"

#include <atomic>
#include <bit>

#include "agent/parent/limits.h"

namespace brood {

int ShownVariables::Show(const std::string& name, uint32_t type, const void* address) {
  const bool known = type == BROOD_BOOL || type == BROOD_INT || type == BROOD_FLOAT;
  if (!known || address == nullptr) return BROOD_WRONG_TYPE;
  const std::lock_guard lock(mutex_);
  if (variables_.size() >= kCellsMax && variables_.count(name) == 0) return BROOD_TOO_LARGE;
  variables_[name] = Variable{type, address};
  return BROOD_OK;
}

std::map<std::string, ShownVariables::Variable> ShownVariables::all() const {
  const std::lock_guard lock(mutex_);
  return variables_;
}

brood_value ShownVariables::Read(const Variable& variable) {
  brood_value value{};
  value.type = variable.type;
  if (variable.type == BROOD_BOOL) {
    auto* const place = static_cast<uint8_t*>(const_cast<void*>(variable.address));
    value.integer = std::atomic_ref<uint8_t>(*place).load(std::memory_order_relaxed) != 0;
    return value;
  }
  auto* const place = static_cast<int64_t*>(const_cast<void*>(variable.address));
  const int64_t word = std::atomic_ref<int64_t>(*place).load(std::memory_order_relaxed);
  if (variable.type == BROOD_FLOAT) {
    value.number = std::bit_cast<double>(word);
  } else {
    value.integer = word;
  }
  return value;
}

}  // namespace brood
