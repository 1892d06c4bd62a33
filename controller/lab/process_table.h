// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace brood {

// A process of this machine, as /proc shows it. `start` (clock ticks since boot)
// tells it from a later one with the same pid.
struct Process {
  pid_t pid = 0;
  pid_t ppid = 0;
  uint64_t start = 0;
  int threads = 0;
  // As in /proc/PID/stat: 'R', 'S', 'T', 'Z'…
  char state = '?';
  // At most 15 bytes, as the kernel keeps it.
  std::string name;
};

// The processes of this machine at one moment, read one after the other: what
// starts meanwhile may be missing. A value.
class ProcessTable {
 public:
  static ProcessTable Read();

  // Nothing if there is none.
  const Process* Find(pid_t pid) const;
  // All below the roots, without the roots themselves; zombies included.
  std::vector<Process> Below(const std::vector<pid_t>& roots) const;
  // Those whose environment, as it was at exec, has a variable that begins with
  // `prefix`, e.g. "NAME=/folder/". Those that we may not look into are left out.
  std::vector<Process> WithVariable(const std::string& prefix) const;

 private:
  std::map<pid_t, Process> processes_;
};

// Its words with blanks between; "[name]" if it has none (a zombie).
std::string CommandLine(const Process& process);

// Sends `signal` (0: none) to each, waits up to `patience` until they have ended
// (as pidfds tell), and returns those that have not. Zombies have ended.
std::vector<Process> AwaitEnd(const std::vector<Process>& processes, int signal,
                              std::chrono::milliseconds patience);

}  // namespace brood
