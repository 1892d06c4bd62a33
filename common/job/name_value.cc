// SPDX-License-Identifier: Apache-2.0
#include "common/job/name_value.h"

#include "common/job/text.h"

namespace brood {

Result<NameValue> ParseNameValue(std::string_view text, const std::string& field) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return FieldError(field, Quoted(text) + " has no name; write NAME=VALUE");
  return NameValue{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

}  // namespace brood
