// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/process_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

// A whole environment or command line; the kernel allows 2 MiB of both together.
constexpr size_t kProcFileMax = 4 << 20;

std::string ReadProcFile(pid_t pid, const char* file) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + file;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char piece[8192];
  ssize_t size = 0;
  while (fd && text.size() < kProcFileMax && (size = ::read(fd.get(), piece, sizeof(piece))) > 0) {
    text.append(piece, static_cast<size_t>(size));
  }
  return text;
}

// NAME and what follows it in the text of a stat file.
struct StatText {
  std::string name;
  std::istringstream fields;
};

std::optional<StatText> SplitStat(const std::string& stat) {
  const size_t open = stat.find('(');
  // The name may hold anything, brackets too: it ends at the last one.
  const size_t close = stat.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open) return std::nullopt;
  return StatText{stat.substr(open + 1, close - open - 1),
                  std::istringstream(stat.substr(close + 1))};
}

std::optional<Process> ReadProcess(pid_t pid) {
  std::optional<StatText> stat = SplitStat(ReadProcFile(pid, "stat"));
  if (!stat) return std::nullopt;
  Process process;
  process.pid = pid;
  process.name = stat->name;
  std::istringstream& fields = stat->fields;
  fields >> process.state >> process.ppid;
  std::string skipped;
  for (int field = 5; field <= 19; ++field) fields >> skipped;
  fields >> process.threads >> skipped >> process.start;
  if (!fields) return std::nullopt;
  return process;
}

bool HasVariable(const std::string& environment, const std::string& prefix) {
  for (size_t at = 0; at < environment.size();) {
    if (environment.compare(at, prefix.size(), prefix) == 0) return true;
    const size_t end = environment.find('\0', at);
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return false;
}

}  // namespace

ProcessTable ProcessTable::Read() {
  ProcessTable table;
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return table;
  while (const dirent* entry = ::readdir(folder)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    if (std::optional<Process> process = ReadProcess(pid)) table.processes_[pid] = *process;
  }
  ::closedir(folder);
  return table;
}

const Process* ProcessTable::Find(pid_t pid) const {
  const auto found = processes_.find(pid);
  return found == processes_.end() ? nullptr : &found->second;
}

std::vector<Process> ProcessTable::Below(const std::vector<pid_t>& roots) const {
  std::multimap<pid_t, const Process*> by_parent;
  for (const auto& [pid, process] : processes_) by_parent.emplace(process.ppid, &process);
  std::vector<Process> below;
  std::set<pid_t> seen(roots.begin(), roots.end());
  std::vector<pid_t> open = roots;
  while (!open.empty()) {
    const auto [first, last] = by_parent.equal_range(open.back());
    open.pop_back();
    for (auto child = first; child != last; ++child) {
      if (!seen.insert(child->second->pid).second) continue;
      below.push_back(*child->second);
      open.push_back(child->second->pid);
    }
  }
  return below;
}

std::vector<Process> ProcessTable::WithVariable(const std::string& prefix) const {
  std::vector<Process> found;
  for (const auto& [pid, process] : processes_)
    if (HasVariable(ReadProcFile(pid, "environ"), prefix)) found.push_back(process);
  return found;
}

std::string CommandLine(const Process& process) {
  std::string words = ReadProcFile(process.pid, "cmdline");
  while (!words.empty() && words.back() == '\0') words.pop_back();
  for (char& byte : words)
    if (byte == '\0') byte = ' ';
  return words.empty() ? "[" + process.name + "]" : words;
}

std::vector<Process> AwaitEnd(const std::vector<Process>& processes, int signal,
                              std::chrono::milliseconds patience) {
  const int64_t give_up = BootTimeNanos() + std::chrono::nanoseconds(patience).count();
  std::vector<std::pair<Process, UniqueFd>> alive;
  for (const Process& process : processes) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
    // Looked at after the pidfd was made, so that it is the one that was meant.
    const std::optional<Process> now = ReadProcess(process.pid);
    if (!fd || !now || now->start != process.start) continue;
    if (signal != 0) ::syscall(SYS_pidfd_send_signal, fd.get(), signal, nullptr, 0);
    alive.emplace_back(process, std::move(fd));
  }
  std::vector<Process> left;
  for (const auto& [process, fd] : alive) {
    for (;;) {
      const int64_t wait = give_up - BootTimeNanos();
      pollfd end{fd.get(), POLLIN, 0};
      const int ended = ::poll(&end, 1, wait > 0 ? static_cast<int>(wait / 1'000'000) + 1 : 0);
      if (ended < 0 && errno == EINTR) continue;
      if (ended == 0) left.push_back(process);
      break;
    }
  }
  return left;
}

}  // namespace brood
