// SPDX-License-Identifier: Apache-2.0
#include "agent/process/process_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>

#include "common/base/process_life.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
// The longest stat line: 52 numbers and a name.
constexpr size_t kStatBytesMax = 2048;
// Taken at a time of an environment, which may be megabytes long.
constexpr size_t kEnvironmentChunkBytes = 64 * 1024;

UniqueFd OpenProc(pid_t pid, const char* file) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
  return UniqueFd(::open(path, O_RDONLY | O_CLOEXEC));
}

ssize_t ReadSome(int fd, char* bytes, size_t size) {
  ssize_t got;
  do {
    got = ::read(fd, bytes, size);
  } while (got < 0 && errno == EINTR);
  return got;
}

// Visits each entry until `visit` returns false. False if there is none, or it cannot be read.
template <typename Visit>
bool VisitEnvironment(pid_t pid, Visit visit) {
  const UniqueFd fd = OpenProc(pid, "environ");
  if (!fd) return false;
  std::string bytes;
  bool any = false;
  for (;;) {
    const size_t old_size = bytes.size();
    bytes.resize(old_size + kEnvironmentChunkBytes);
    const ssize_t got = ReadSome(fd.get(), bytes.data() + old_size, kEnvironmentChunkBytes);
    bytes.resize(old_size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) return false;
    const bool ended = got == 0;
    if (ended && !bytes.empty()) bytes.push_back('\0');
    size_t start = 0;
    for (size_t end; (end = bytes.find('\0', start)) != std::string::npos; start = end + 1) {
      any = true;
      if (!visit(std::string_view(bytes).substr(start, end - start))) return true;
    }
    if (ended) return any;
    bytes.erase(0, start);
  }
}

template <typename Number>
bool TakeNumber(std::string_view* text, Number* number) {
  const size_t start = text->find_first_not_of(' ');
  if (start == std::string_view::npos) return false;
  text->remove_prefix(start);
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

}  // namespace

int64_t ProcessEntry::start_ns() const {
  static const long ticks_per_second = ::sysconf(_SC_CLK_TCK);
  return static_cast<int64_t>(start_ticks) * (kNanosPerSecond / ticks_per_second);
}

std::optional<ProcessEntry> ParseProcessStat(std::string_view text) {
  ProcessEntry entry;
  // Field 2, the name in parentheses, may hold anything; the last ')' ends it.
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  std::string_view rest = text;
  if (close == std::string_view::npos || open > close || close + 3 >= text.size() ||
      !TakeNumber(&rest, &entry.pid)) {
    return std::nullopt;
  }
  entry.name = text.substr(open + 1, close - open - 1);
  entry.state = text[close + 2];
  rest = text.substr(close + 3);
  bool good = TakeNumber(&rest, &entry.ppid) && TakeNumber(&rest, &entry.pgid) &&
              TakeNumber(&rest, &entry.session);
  int64_t skipped = 0;
  for (int field = 7; good && field <= 19; ++field) {
    // Field 9, the flags, and some of the others are unsigned, but fit.
    good = TakeNumber(&rest, &skipped);
  }
  good = good && TakeNumber(&rest, &entry.threads) && TakeNumber(&rest, &skipped) &&
         TakeNumber(&rest, &entry.start_ticks);
  if (!good) return std::nullopt;
  return entry;
}

namespace {

std::optional<ProcessEntry> ReadStat(const UniqueFd& fd) {
  if (!fd) return std::nullopt;
  char bytes[kStatBytesMax];
  const ssize_t size = ReadSome(fd.get(), bytes, sizeof(bytes));
  if (size <= 0) return std::nullopt;
  return ParseProcessStat(std::string_view(bytes, static_cast<size_t>(size)));
}

// Of a folder that has one for each number.
std::vector<ProcessEntry> ReadTable(const std::string& path) {
  std::vector<ProcessEntry> table;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) return table;
  while (const dirent* const entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    const std::string stat = path + "/" + entry->d_name + "/stat";
    const UniqueFd fd(::open(stat.c_str(), O_RDONLY | O_CLOEXEC));
    if (std::optional<ProcessEntry> read = ReadStat(fd)) table.push_back(*std::move(read));
  }
  std::sort(table.begin(), table.end(),
            [](const ProcessEntry& a, const ProcessEntry& b) { return a.pid < b.pid; });
  return table;
}

}  // namespace

std::optional<ProcessEntry> ReadProcess(pid_t pid) { return ReadStat(OpenProc(pid, "stat")); }

bool IsSameProcess(pid_t pid, int64_t seen_ns) {
  const std::optional<ProcessEntry> process = ReadProcess(pid);
  return process && LivedAt(process->start_ns(), INT64_MAX, seen_ns);
}

std::vector<ProcessEntry> ReadProcessTable() { return ReadTable("/proc"); }

std::vector<ProcessEntry> ReadThreadTable(pid_t pid) {
  return ReadTable("/proc/" + std::to_string(pid) + "/task");
}

bool EnvironmentHas(pid_t pid, std::initializer_list<std::string_view> entries) {
  std::vector<std::string_view> missing(entries);
  const bool read = VisitEnvironment(pid, [&missing](std::string_view entry) {
    missing.erase(std::remove(missing.begin(), missing.end(), entry), missing.end());
    return !missing.empty();
  });
  return read && missing.empty();
}

std::optional<std::vector<std::string>> ReadVariables(
    pid_t pid, std::initializer_list<std::string_view> names) {
  std::vector<std::string> values(names.size());
  std::vector<std::string_view> missing(names);
  size_t found = 0;
  const bool read = VisitEnvironment(pid, [&](std::string_view entry) {
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos || equals == 0) return true;
    const auto name = std::find(missing.begin(), missing.end(), entry.substr(0, equals));
    if (name == missing.end()) return true;
    values[static_cast<size_t>(name - missing.begin())] = entry.substr(equals + 1);
    *name = {};  // The first one counts, as for getenv.
    return ++found < values.size();
  });
  if (!read) return std::nullopt;
  return values;
}

}  // namespace brood
