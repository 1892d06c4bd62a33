// SPDX-License-Identifier: Apache-2.0
#include "agent/process/limit_groups.h"

#include <dirent.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "agent/process/cgroup.h"

namespace brood {
namespace {

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool WriteText(const std::string& path, const std::string& text) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "we"), std::fclose);
  if (!file) return false;
  std::setbuf(file.get(), nullptr);
  return std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
}

bool CanWrite(const std::string& path) { return ::access(path.c_str(), W_OK) == 0; }

// A group can be made there, and has that file to write the limit to.
bool CanLimit(const std::string& folder, const std::string& file) {
  if (folder.empty()) return false;
  const std::string probe = folder + "/brood-probe-limit-" + std::to_string(::getpid());
  if (::mkdir(probe.c_str(), 0755) != 0) return false;
  const bool can = CanWrite(probe + "/" + file) && CanWrite(probe + "/cgroup.procs");
  return ::rmdir(probe.c_str()) == 0 && can;
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

Error CannotHold(const std::string& what) {
  return ErrnoError(errno, "hold the job to its limits: cannot " + what);
}

}  // namespace

bool EnableControllers(const std::string& group, const std::vector<std::string>& controllers) {
  std::string wanted;
  for (const std::string& controller : controllers)
    wanted += (wanted.empty() ? "+" : " +") + controller;
  const std::string control = group + "/cgroup.subtree_control";
  if (WriteText(control, wanted)) return true;
  if (errno != EBUSY) return false;
  // A group with processes of its own has no controllers below: move away, if that is us alone.
  const std::string self = std::to_string(::getpid());
  if (ReadText(group + "/cgroup.procs") != self + "\n") return false;
  const std::string leaf = group + "/brood-agent";
  if (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) return false;
  if (WriteText(leaf + "/cgroup.procs", self) && WriteText(control, wanted)) return true;
  WriteText(group + "/cgroup.procs", self);
  ::rmdir(leaf.c_str());
  return false;
}

bool ProcessLimitBinds() {
  if (::geteuid() == 0 || ::getuid() == 0) return false;
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  if (::syscall(SYS_capget, &head, sets) != 0) return false;
  constexpr uint32_t kExceeds = (1u << CAP_SYS_RESOURCE) | (1u << CAP_SYS_ADMIN);
  return (sets[0].effective & kExceeds) == 0;
}

LimitGroups::LimitGroups(std::string owner, std::string record)
    : prefix_("brood-" + std::move(owner) + "-"), record_(std::move(record)) {
  const std::string mounts = ReadText("/proc/self/mountinfo");
  const std::string groups = ReadText("/proc/self/cgroup");
  const std::string memory = OwnCgroupPath(mounts, groups, "memory");
  const std::string processes = OwnCgroupPath(mounts, groups, "pids");
  if (CanLimit(memory, "memory.limit_in_bytes")) memory_folder_ = memory;
  if (CanLimit(processes, "pids.max")) process_folder_ = processes;
  if (memory_folder_.empty() && process_folder_.empty())
    FindVersion2(OwnCgroupPath(mounts, groups));
  FindEarlier();
}

void LimitGroups::FindVersion2(const std::string& own) {
  if (own.empty()) return;
  std::vector<std::string> there;
  std::istringstream names(ReadText(own + "/cgroup.controllers"));
  for (std::string name; names >> name;) {
    if (name == "memory" || name == "pids") there.push_back(name);
  }
  if (there.empty() || !EnableControllers(own, there)) return;
  if (CanLimit(own, "memory.max")) memory_folder_ = own;
  if (CanLimit(own, "pids.max")) process_folder_ = own;
  version2_ = bounds_memory() || bounds_processes();
}

void LimitGroups::FindEarlier() {
  std::istringstream lines(ReadText(record_));
  for (std::string folder; std::getline(lines, folder);) {
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator(folder, gone)) {
      const std::string name = entry.path().filename();
      if (name.rfind(prefix_, 0) != 0) continue;
      jobs_.insert(std::strtoull(name.c_str() + prefix_.size(), nullptr, 10));
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
  if (WriteText(fresh, text) && ::rename(fresh.c_str(), record_.c_str()) == 0) return Ok();
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
    if (!WriteText(file, std::to_string(setting.value)))
      return CannotHold("write " + std::to_string(setting.value) + " to '" + file + "'");
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
    for (const char* const file : {"/memory.events", "/memory.oom_control"}) {
      if (CountOf(ReadText(group + file), "oom_kill") > 0) return true;
    }
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
      gone = (::rmdir(group.c_str()) == 0 || errno == ENOENT) && gone;
    }
    if (gone) jobs_.erase(job_key);
    all = all && gone;
  }
  return all;
}

}  // namespace brood
