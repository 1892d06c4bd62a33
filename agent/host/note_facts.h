// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>
#include <variant>

#include "agent/core/fact.h"
#include "agent/outbox/note.h"
#include "agent/outbox/slot_file.h"

namespace brood {

// From what a process noted to what the core takes. Nothing is believed beyond
// its own limits: the notes of a parent come from a process that runs users' code.
StartedFact StartedOfNote(const Note& note);
FailedFact FailedOfNote(const Note& note, std::string_view text);
WaitStatus StatusOfNote(const Note& note);
// It ended as one does that the kernel kills at its memory limit, or as a shell tells of one.
bool MayBeOutOfMemory(const WaitStatus& status);
// Of a job whose parent has ended without noting it; nothing if its child has not begun.
std::optional<std::variant<StartedFact, FailedFact>> StartOfSlot(const StartSlot& start,
                                                                 uint32_t slot);
// As wait(2) has it; nothing: unknown.
WaitStatus StatusOfWait(std::optional<int> status);
CallResult ResultOfNote(const Note& note, std::string_view text);
// Nothing where it is torn: while it is being written, which is rung for, or for ever, if the
// writer died then.
std::optional<CallProgress> ProgressOf(const CallArea& area);

}  // namespace brood
