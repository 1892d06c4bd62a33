// SPDX-License-Identifier: Apache-2.0
#include "common/job/job_id.h"

#include <string>

#include "common/job/limits.h"
#include "common/job/text.h"

namespace brood {
namespace {

// Not <cctype>: that asks the locale.
bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

Status ValidateJobId(std::string_view field, std::string_view id) {
  const std::string path(field);
  if (id.empty())
    return FieldError(path, "is empty; give it 1 to 64 letters, digits, '.', '_', '-'");
  if (id.size() > kJobIdBytesMax) {
    return FieldError(path, Quoted(id) + " is too long; shorten it to 64 bytes");
  }
  if (!IsAlphanumeric(id[0])) {
    return FieldError(path, Quoted(id) + " does not begin with a letter or digit; rename it");
  }
  for (const char c : id) {
    if (!IsAlphanumeric(c) && c != '.' && c != '_' && c != '-') {
      return FieldError(path, Quoted(id) + " holds " + Quoted({&c, 1}) +
                                  "; use letters, digits, '.', '_' and '-' only");
    }
  }
  return Ok();
}

}  // namespace brood
