// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "agent/core/fact.h"
#include "agent/outbox/note.h"

namespace brood {

// From what a process noted to what the core takes. Nothing is believed beyond
// its own limits: the notes of a parent come from a process that runs users' code.
StartedFact StartedOfNote(const Note& note);
FailedFact FailedOfNote(const Note& note, std::string_view text);
WaitStatus StatusOfNote(const Note& note);
CallResult ResultOfNote(const Note& note, std::string_view text);

}  // namespace brood
