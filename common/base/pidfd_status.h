// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>

namespace brood {

// The status, as wait(2) has it, of a process whose zombie somebody else has taken away: the kernel
// tells it from Linux 6.15 on. Nothing before that, and as long as the zombie is there.
std::optional<int> ReadStatusOfReaped(int pidfd);
// The same of a process that has ended and that nobody has waited for yet, without taking it away;
// nothing if it was waited for, lives, or is not ours to look at. `pid`: that of the pidfd.
std::optional<int> ReadStatusOfZombie(int pidfd, pid_t pid);

// A signal to the process group that the process of that pidfd leads, or led: 0 or errno. From
// Linux 6.9 on it is that very group, whoever has its number by now. Before, the caller has to know
// that the leader is not waited for yet.
int SignalGroupOf(int pidfd, pid_t leader, int signal);

}  // namespace brood
