// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brood {

// One process as /proc/PID/stat shows it. (pid, start_ticks) is one process for
// as long as the host is up; a pid alone is not.
struct ProcessEntry {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22: since boot, in ticks of 1 / sysconf(_SC_CLK_TCK) s
  pid_t ppid = 0;
  pid_t pgid = 0;
  pid_t session = 0;
  char state = '?';  // R S D T t Z X I
  int threads = 0;
  std::string name;  // at most 15 bytes; any bytes

  // A zombie whose main thread alone has ended is alive.
  bool alive() const { return (state != 'Z' && state != 'X') || threads > 1; }
  bool same(const ProcessEntry& other) const {
    return pid == other.pid && start_ticks == other.start_ticks;
  }
  // CLOCK_BOOTTIME of its start, rounded down to a tick.
  int64_t start_ns() const;
};

// The text of a stat file. Nothing if it is none.
std::optional<ProcessEntry> ParseProcessStat(std::string_view text);

// That process, or nothing if there is none.
std::optional<ProcessEntry> ReadProcess(pid_t pid);

// Whether the process that has this pid had it at that time too (CLOCK_BOOTTIME; process_life.h).
// False if there is none.
bool IsSameProcess(pid_t pid, int64_t seen_ns);

// All processes of this pid namespace, by pid. Not a snapshot: those that come
// and go meanwhile may be missed.
std::vector<ProcessEntry> ReadProcessTable();

// The threads of a process, by tid; none if it has ended. Of a thread `pid` is the tid.
std::vector<ProcessEntry> ReadThreadTable(pid_t pid);

// Whether the environment that the process was started with has every one of
// these NAME=VALUE entries. False if it cannot be read. A process that only
// forked shows the environment of the program it was forked from.
bool EnvironmentHas(pid_t pid, std::initializer_list<std::string_view> entries);

// What these variables are in that environment, in their order, "" for one that it has not.
// Nothing if it cannot be read, or not yet: it is empty while a new program is being loaded.
std::optional<std::vector<std::string>> ReadVariables(
    pid_t pid, std::initializer_list<std::string_view> names);

}  // namespace brood
