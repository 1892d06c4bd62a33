// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/parent/parent.h"

namespace brood {

// Makes the process leave by _exit(kEndDeadlineStatus) if it is still there after
// kEndDeadlineNanos: a static destructor may wait for a thread that never ends.
void ArmEndDeadline();

inline constexpr int kEndDeadlineStatus = 125;  // brood itself failed

// Ends the process by exit, abort or SIGKILL.
[[noreturn]] void LeaveBy(ParentEnd how);

}  // namespace brood
