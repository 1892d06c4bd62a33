// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include "agent/outbox/note.h"

namespace brood {

// How a child of ours ended: sets code, status and usage of the note, and
// kGroupAlive; leaves the zombie. False if it has not ended. If somebody else
// reaped it, what the kernel still tells (from Linux 6.15 on), else code 0.
bool ReadExit(int pidfd, pid_t pid, Note* note);

// Takes the zombie away.
void ReapExited(int pidfd);

// A stop or continuation that was not read before: sets kind and status; the
// same one is seen again until TakeChange.
bool ReadChange(int pidfd, Note* note);
void TakeChange(int pidfd);

}  // namespace brood
