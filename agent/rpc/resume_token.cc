// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/resume_token.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace brood {

std::string FormatResumeToken(const ResumeToken& token) {
  return absl::StrCat("b1.", token.journal_id, ".", token.epoch, ".", token.cursor);
}

Result<ResumeToken> ParseResumeToken(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '.');
  ResumeToken token;
  if (parts.size() != 4 || parts[0] != "b1" || !absl::SimpleAtoi(parts[2], &token.epoch) ||
      !absl::SimpleAtoi(parts[3], &token.cursor)) {
    return FieldError("resume_token",
                      "this is no resume token; take one that an earlier answer gave");
  }
  token.journal_id = parts[1];
  return token;
}

}  // namespace brood
