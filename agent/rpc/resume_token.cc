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

Result<uint64_t> CursorOf(const std::string& resume_token, const Journal& journal) {
  Result<ResumeToken> token = ParseResumeToken(resume_token);
  if (!token) return token.error();
  if (token->journal_id != journal.id()) {
    return FieldError("resume_token", "it is of another journal; begin without one");
  }
  if (token->cursor > journal.head() || token->epoch > journal.epoch()) {
    return Error{ErrorCode::kOutOfRange, "PAST_THE_HEAD",
                 "resume_token: it lies past the journal's head; begin without one",
                 "resume_token"};
  }
  // Cursor 0 is before all events, in every epoch.
  if (const uint64_t kept = journal.KeptOf(token->epoch); token->cursor > kept) {
    ResumeToken last{token->journal_id, journal.epoch(), kept};
    return Error{
        ErrorCode::kOutOfRange, "EVENTS_LOST",
        absl::StrCat("resume_token: the host has lost events that this reader was handed, ",
                     "as a loss of power may do; after the last that it kept go on with '",
                     FormatResumeToken(last), "'"),
        "resume_token"};
  }
  return token->cursor;
}

}  // namespace brood
