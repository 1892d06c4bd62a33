// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include "agent/outbox/note.h"

namespace brood {

// Waiting for any child, in two steps, so that what is told is noted before the
// kernel forgets it. Only one place in a process may do so.

// Any child that has ended and was not reaped, or that one: fills pid, ppid (this
// process), code, status, usage and start_ns of `note`, leaves the zombie. False
// if there is none.
bool FindEndedChild(Note* note);
bool FindEndedChild(pid_t pid, Note* note);

// Reaps that child.
void ReapChild(pid_t pid);

}  // namespace brood
