// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>

namespace brood {

// The status, as wait(2) has it, of a process whose zombie somebody else has taken away: the kernel
// tells it from Linux 6.15 on. Nothing before that, and as long as the zombie is there.
std::optional<int> ReadStatusOfReaped(int pidfd);

}  // namespace brood
