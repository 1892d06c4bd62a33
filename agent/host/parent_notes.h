// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "agent/core/core.h"
#include "agent/host/life.h"
#include "agent/outbox/note.h"

namespace brood {

// Brings what a life of a parent noted to the core. It speaks of its own jobs only: the rest is not
// heard.
void TakeParentNote(const Life& life, const Note& note, std::string_view text, Core* core,
                    Batch* batch);

}  // namespace brood
