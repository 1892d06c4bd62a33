// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "agent/journal/journal.h"
#include "common/base/error.h"

namespace brood {

// A reader's place in one journal: opaque to clients, "b1.JOURNAL.EPOCH.CURSOR" here.
struct ResumeToken {
  std::string journal_id;
  uint64_t epoch = 0;
  uint64_t cursor = 0;
};

std::string FormatResumeToken(const ResumeToken& token);
// INVALID_ARGUMENT, naming resume_token, for what is none.
Result<ResumeToken> ParseResumeToken(const std::string& text);

// The place in this journal that a token stands for: INVALID_ARGUMENT if it is of another one,
// OUT_OF_RANGE if it lies past the head, or if the cursor names another event since a loss of
// power.
Result<uint64_t> CursorOf(const std::string& resume_token, const Journal& journal);

}  // namespace brood
