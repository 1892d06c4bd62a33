// SPDX-License-Identifier: Apache-2.0
//
// Any text as a resume token: refused, or the place that it says.
#include "agent/rpc/resume_token.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace brood;
  const Result<ResumeToken> token = ParseResumeToken(std::string(fuzz::TextOf(data, size)));
  if (!token) {
    fuzz::Require(token.error().field == "resume_token", "a refusal names the field");
    return 0;
  }
  const Result<ResumeToken> again = ParseResumeToken(FormatResumeToken(*token));
  fuzz::Require(again.ok() && again->journal_id == token->journal_id &&
                    again->epoch == token->epoch && again->cursor == token->cursor,
                "a token that is written is read as it was");
  return 0;
}
