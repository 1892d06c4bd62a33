// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace brood {

// Version of the frames and notes between the processes of one host. Agent,
// supervisor and parent come from one build; another number is refused with a
// sentence, never guessed at. Grows with every change of frames.proto or note.h.
inline constexpr uint32_t kProtocolVersion = 5;

}  // namespace brood
