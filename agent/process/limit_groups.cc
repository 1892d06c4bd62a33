// SPDX-License-Identifier: Apache-2.0
#include "agent/process/limit_groups.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "agent/process/cgroup.h"

namespace brood {
namespace {

// Behind the prefix, where a job's group has its number.
constexpr char kProbe[] = "probe";

// Nothing where it cannot be read.
std::string TextOf(const std::string& path) {
  Result<std::string> text = ReadControlFile(path);
  return text.ok() ? *std::move(text) : std::string();
}

bool CanWrite(const std::string& path) { return ::access(path.c_str(), W_OK) == 0; }

// A group can be made there, and has that file to write the limit to. `probe`: the name of one to
// try it with; who tried before may have died and left it.
bool CanLimit(const std::string& folder, const std::string& probe, const std::string& file) {
  if (folder.empty()) return false;
  const std::string group = folder + "/" + probe;
  if (::mkdir(group.c_str(), 0755) != 0 && errno != EEXIST) return false;
  const bool can = CanWrite(group + "/" + file) && CanWrite(group + "/cgroup.procs");
  return ::rmdir(group.c_str()) == 0 && can;
}

// The number after the word at the beginning of a line; 0 if there is none.
uint64_t CountOf(const std::string& text, const std::string& word) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    uint64_t count = 0;
    if (words >> name >> count && name == word) return count;
  }
  return 0;
}

constexpr uint64_t kHugePageBytes = 2 << 20;

constexpr char kCannotHold[] = "hold the job to its limits: cannot ";

Error CannotHold(const std::string& what) { return ErrnoError(errno, kCannotHold + what); }

}  // namespace

bool WasKilledAtLimit(const std::string& group) {
  // The kernel counts whom it has killed also where it was the host that had no more memory: then
  // the limit of the group was not reached.
  if (CountOf(TextOf(group + "/memory.events"), "oom_kill") > 0) {
    const std::string local = TextOf(group + "/memory.events.local");  // from Linux 5.2 on
    return CountOf(local.empty() ? TextOf(group + "/memory.events") : local, "oom") > 0;
  }
  if (CountOf(TextOf(group + "/memory.oom_control"), "oom_kill") == 0) return false;
  // Version 1 has failures to charge too, but does not count those of the limit with swap. Memory
  // is charged in pieces, the largest a huge page: what is refused may leave so much of the limit.
  for (const std::string kind : {"/memory.", "/memory.memsw."}) {
    uint64_t most = 0;
    uint64_t limit = 0;
    if (std::istringstream(TextOf(group + kind + "max_usage_in_bytes")) >> most &&
        std::istringstream(TextOf(group + kind + "limit_in_bytes")) >> limit &&
        most + kHugePageBytes >= limit)
      return true;
  }
  return false;
}

LimitGroups::LimitGroups(std::string owner, std::string record)
    : prefix_("brood-" + std::move(owner) + "-"), record_(std::move(record)) {
  const std::string mounts = TextOf("/proc/self/mountinfo");
  const std::string groups = TextOf("/proc/self/cgroup");
  const std::string memory = OwnCgroupPath(mounts, groups, "memory");
  const std::string processes = OwnCgroupPath(mounts, groups, "pids");
  if (CanLimit(memory, prefix_ + kProbe, "memory.limit_in_bytes")) memory_folder_ = memory;
  if (CanLimit(processes, prefix_ + kProbe, "pids.max")) process_folder_ = processes;
  if (memory_folder_.empty() && process_folder_.empty())
    FindVersion2(OwnCgroupPath(mounts, groups));
  FindEarlier();
}

void LimitGroups::FindVersion2(const std::string& own) {
  if (own.empty()) return;
  std::vector<std::string> there;
  std::istringstream names(TextOf(own + "/cgroup.controllers"));
  for (std::string name; names >> name;) {
    if (name == "memory" || name == "pids") there.push_back(name);
  }
  if (there.empty() || !EnableControllers(own, there)) return;
  if (CanLimit(own, prefix_ + kProbe, "memory.max")) memory_folder_ = own;
  if (CanLimit(own, prefix_ + kProbe, "pids.max")) process_folder_ = own;
  version2_ = bounds_memory() || bounds_processes();
}

void LimitGroups::FindEarlier() {
  std::ifstream lines(record_);
  for (std::string folder; std::getline(lines, folder);) {
    std::error_code gone;
    for (auto entry = std::filesystem::directory_iterator(folder, gone);
         !gone && entry != std::filesystem::directory_iterator(); entry.increment(gone)) {
      const std::string name = entry->path().filename();
      if (name.rfind(prefix_, 0) != 0) continue;
      const char* const end = name.c_str() + name.size();
      uint64_t job_key = 0;
      const auto [stop, bad] = std::from_chars(name.c_str() + prefix_.size(), end, job_key);
      if (bad != std::errc() || stop != end) continue;  // somebody else's, or a probe
      jobs_.insert(job_key);
      folders_.insert(folder);
    }
  }
}

std::string LimitGroups::controllers() const {
  if (version2_) return "cgroup2";
  return bounds_memory() || bounds_processes() ? "cgroup1" : "";
}

// Before the first group is made there: whoever finds the group must find the folder.
Status LimitGroups::Record(const std::string& folder) {
  if (!folders_.insert(folder).second) return Ok();
  const std::string fresh = record_ + ".new";
  std::string text;
  for (const std::string& one : folders_) text += one + "\n";
  if (std::ofstream(fresh) << text << std::flush && ::rename(fresh.c_str(), record_.c_str()) == 0)
    return Ok();
  folders_.erase(folder);
  return CannotHold("write '" + record_ + "'");
}

Result<std::vector<std::string>> LimitGroups::Make(uint64_t job_key, const Limits& limits) {
  struct Setting {
    std::string group;
    std::string file;
    uint64_t value;
    bool optional;  // not every kernel has it
  };
  std::vector<Setting> settings;
  const std::string memory = memory_folder_ + "/" + Name(job_key);
  const std::string processes = process_folder_ + "/" + Name(job_key);
  if (limits.memory_bytes && version2_) {
    settings.push_back({memory, "memory.max", *limits.memory_bytes, false});
    settings.push_back({memory, "memory.swap.max", 0, true});
    // All of it or nothing: half a job is no use.
    settings.push_back({memory, "memory.oom.group", 1, true});
  } else if (limits.memory_bytes) {
    settings.push_back({memory, "memory.limit_in_bytes", *limits.memory_bytes, false});
    settings.push_back({memory, "memory.memsw.limit_in_bytes", *limits.memory_bytes, true});
  }
  if (limits.processes) settings.push_back({processes, "pids.max", *limits.processes, false});

  const std::lock_guard lock(mutex_);
  std::set<std::string> made;
  for (const Setting& setting : settings) {
    if (made.insert(setting.group).second) {
      const std::string folder = setting.group == memory ? memory_folder_ : process_folder_;
      if (Status failed = Record(folder)) return *failed;
      jobs_.insert(job_key);
      if (::mkdir(setting.group.c_str(), 0755) != 0 && errno != EEXIST)
        return CannotHold("make control group '" + setting.group + "'");
    }
    const std::string file = setting.group + "/" + setting.file;
    if (setting.optional && !CanWrite(file)) continue;
    const std::string value = std::to_string(setting.value);
    if (Status failed = WriteControlFile(file, value)) {
      failed->message = kCannotHold + ("set " + value + ": " + failed->message);
      return *std::move(failed);
    }
  }
  std::vector<std::string> files;
  for (const std::string& group : made) files.push_back(group + "/cgroup.procs");
  return files;
}

bool LimitGroups::WasOutOfMemory(uint64_t job_key) const {
  const std::lock_guard lock(mutex_);
  if (jobs_.count(job_key) == 0) return false;
  for (const std::string& folder : folders_) {
    const std::string group = folder + "/" + Name(job_key);
    if (WasKilledAtLimit(group)) return true;
  }
  return false;
}

std::vector<uint64_t> LimitGroups::jobs() const {
  const std::lock_guard lock(mutex_);
  return {jobs_.begin(), jobs_.end()};
}

bool LimitGroups::Remove(const std::vector<uint64_t>& ended) {
  const std::lock_guard lock(mutex_);
  bool all = true;
  for (const uint64_t job_key : ended) {
    bool gone = true;
    for (const std::string& folder : folders_) {
      const std::string group = folder + "/" + Name(job_key);
      // Most jobs make none of their own below.
      const bool removed = ::rmdir(group.c_str()) == 0 || errno == ENOENT || !RemoveGroups(group);
      gone = removed && gone;
    }
    if (gone) jobs_.erase(job_key);
    all = all && gone;
  }
  return all;
}

}  // namespace brood
