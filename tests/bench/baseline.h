// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace brood::bench {

// What the machine does without brood: the yardsticks, run in the same process
// and minute as what is compared with them.

// Commands per second: posix_spawn of /bin/true, `outstanding` at once, waitpid.
double SpawnLoop(int count, int outstanding);
// Forks per second: fork, _exit, waitpid, `outstanding` at once.
double ForkLoop(int count, int outstanding);
// Threads per second: create a thread that does nothing, join, `outstanding` at once.
double ThreadLoop(int count, int outstanding);
// Seconds of one posix_spawn of /bin/true and its wait, each.
std::vector<double> SpawnLatencies(int count);

// Seconds of one append of so many bytes and the fdatasync after it, each; in a file of its own
// under /var/tmp. Empty if that fails.
std::vector<double> SyncLatencies(int count, int bytes);

// Seconds since some point, monotonic.
double Seconds();
// The value below which `part` of them lie.
double Percentile(std::vector<double> values, double part);
// CPU that a process has had itself, in seconds, to 10 ms; 0: this one, exactly.
double CpuSeconds(int pid);
// Proportional set size of a process, in MiB.
double PssMebibytes(int pid);

}  // namespace brood::bench
