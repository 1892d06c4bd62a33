// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "common/base/error.h"

namespace brood {

// What an option that takes NAME=VALUE was given.
struct NameValue {
  std::string name;
  std::string value;
};

// INVALID_ARGUMENT, naming the option in `field`, without a name. The value may be empty.
Result<NameValue> ParseNameValue(std::string_view text, const std::string& field);

}  // namespace brood
