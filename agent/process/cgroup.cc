// SPDX-License-Identifier: Apache-2.0
#include "agent/process/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <sstream>
#include <string_view>
#include <utility>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

constexpr size_t kNameBytesMax = 200;
// Deeper trees of groups are nobody's by accident.
constexpr int kDepthMax = 32;

Error NoCgroup(const std::string& why) {
  return Error{
      ErrorCode::kFailedPrecondition, "NO_CGROUP",
      "control groups cannot be used here: " + why + "; whole trees are ended by scanning /proc",
      ""};
}

bool GoodName(const std::string& name) {
  if (name.empty() || name.size() > kNameBytesMax || name[0] == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

Error StillLivedIn(const std::string& path) {
  Error error = ErrnoError(EBUSY, "remove control group '" + path + "'");
  error.code = ErrorCode::kUnavailable;
  return error;
}

// Calls `visit` for each group, those below first, until it gives an error.
template <typename Visit>
Status ForEachGroup(const std::string& path, int depth, const Visit& visit) {
  if (depth > kDepthMax) return ErrnoError(ELOOP, "remove control group '" + path + "'");
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) return errno == ENOENT ? Ok() : Status(ErrnoError(errno, "open '" + path + "'"));
  while (const dirent* const entry = ::readdir(folder.get())) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    if (Status failed = ForEachGroup(path + "/" + entry->d_name, depth + 1, visit)) return failed;
  }
  return visit(path);
}

// Whether the word is in a list with commas; the empty word is in the empty list.
bool HasWord(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

// mountinfo writes blanks, tabs, newlines and backslashes as \ooo.
std::string Unescape(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                        (text[i + 3] - '0')));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

}  // namespace

Result<std::string> ReadControlFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  std::string text;
  char bytes[4096];
  for (;;) {
    const ssize_t got = ::read(fd.get(), bytes, sizeof(bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read '" + path + "'");
    if (got == 0) return text;
    text.append(bytes, static_cast<size_t>(got));
  }
}

Status WriteControlFile(const std::string& path, const std::string& text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return ErrnoError(errno, "write '" + path + "'");
  }
  return Ok();
}

Status RemoveGroups(const std::string& path) {
  // All of them or none: who lives in one may be about to enter another.
  if (Status failed = ForEachGroup(path, 0, [](const std::string& group) -> Status {
        const Result<std::string> members = ReadControlFile(group + "/cgroup.procs");
        if (members.ok() && !members->empty()) return StillLivedIn(group);
        return Ok();
      })) {
    return failed;
  }
  // A group with groups below it cannot be removed.
  return ForEachGroup(path, 0, [](const std::string& group) -> Status {
    if (::rmdir(group.c_str()) == 0 || errno == ENOENT) return Ok();
    if (errno == EBUSY) return StillLivedIn(group);
    return ErrnoError(errno, "remove control group '" + group + "'");
  });
}

void RemoveAbandonedGroups(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> groups(::opendir(folder.c_str()), ::closedir);
  if (!groups) return;
  while (const dirent* const entry = ::readdir(groups.get())) {
    const std::string name = entry->d_name;
    for (const std::string prefix : {"brood-end-", "brood-probe-"}) {
      pid_t pid = 0;
      const char* const end = name.c_str() + name.size();
      if (name.rfind(prefix, 0) != 0 ||
          std::from_chars(name.c_str() + prefix.size(), end, pid).ec != std::errc())
        continue;
      if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) ::rmdir((folder + "/" + name).c_str());
    }
  }
}

bool EnableControllers(const std::string& group, const std::vector<std::string>& controllers) {
  std::string wanted;
  for (const std::string& controller : controllers)
    wanted += (wanted.empty() ? "+" : " +") + controller;
  const std::string control = group + "/cgroup.subtree_control";
  const Status refused = WriteControlFile(control, wanted);
  if (!refused) return true;
  if (refused->reason != "EBUSY") return false;
  // A group with processes of its own has no controllers below: move away, if that is us alone.
  const std::string self = std::to_string(::getpid());
  const Result<std::string> members = ReadControlFile(group + "/cgroup.procs");
  if (!members || *members != self + "\n") return false;
  const std::string leaf = group + "/brood-agent";
  if (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) return false;
  if (!WriteControlFile(leaf + "/cgroup.procs", self) && !WriteControlFile(control, wanted))
    return true;
  (void)WriteControlFile(group + "/cgroup.procs", self);
  ::rmdir(leaf.c_str());
  return false;
}

std::string OwnCgroupPath(const std::string& mounts, const std::string& groups,
                          const std::string& controller) {
  std::string own;
  std::istringstream group_lines(groups);
  for (std::string line; std::getline(group_lines, line);) {
    // ID:CONTROLLERS:PATH
    const size_t names = line.find(':') + 1;
    const size_t path = line.find(':', names);
    if (path == std::string::npos || line.compare(path + 1, 1, "/") != 0) continue;
    if (HasWord(line.substr(names, path - names), controller)) own = line.substr(path + 1);
  }
  // "/../x": outside what this process's cgroup namespace shows.
  if (own.empty() || own.find("/..") != std::string::npos) return "";
  std::istringstream mount_lines(mounts);
  for (std::string line; std::getline(mount_lines, line);) {
    // ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELDS...] - TYPE SOURCE OPTIONS
    const size_t type = line.find(controller.empty() ? " - cgroup2 " : " - cgroup ");
    if (type == std::string::npos) continue;
    const std::string options = line.substr(line.rfind(' ') + 1);
    if (!controller.empty() && !HasWord(options, controller)) continue;
    std::istringstream words(line);
    std::string skipped, root, point;
    words >> skipped >> skipped >> skipped >> root >> point;
    root = Unescape(root);
    point = Unescape(point);
    if (root == "/") return own == "/" ? point : point + own;
    // Only a part of the tree is mounted: ours has to be in it.
    if (own == root) return point;
    if (own.rfind(root + "/", 0) == 0) return point + own.substr(root.size());
  }
  return "";
}

Result<CgroupFolder> CgroupFolder::Detect() {
  const Result<std::string> mounts = ReadControlFile("/proc/self/mountinfo");
  const Result<std::string> groups = ReadControlFile("/proc/self/cgroup");
  if (!mounts || !groups) return NoCgroup("the kernel shows none");
  CgroupFolder folder(OwnCgroupPath(*mounts, *groups));
  if (folder.path_.empty()) return NoCgroup("no cgroup2 file system is mounted");
  if (::access((folder.path_ + "/cgroup.procs").c_str(), W_OK) != 0) {
    return NoCgroup("'" + folder.path_ + "' is not ours to change");
  }
  RemoveAbandonedGroups(folder.path_);
  const std::string probe = "brood-probe-" + std::to_string(::getpid());
  // Of a process that died and had our pid's number.
  ::rmdir((folder.path_ + "/" + probe).c_str());
  const Result<Cgroup> made = folder.Make(probe);
  if (!made) return NoCgroup(made.error().message);
  const bool can_kill = ::access((made->path() + "/cgroup.kill").c_str(), W_OK) == 0;
  if (const Status failed = made->Remove()) return NoCgroup(failed->message);
  if (!can_kill) return NoCgroup("the kernel has no cgroup.kill (it came with 5.14)");
  return folder;
}

Result<Cgroup> CgroupFolder::Make(const std::string& name) const {
  if (!GoodName(name)) return FieldError("name", "'" + name + "' cannot name a control group");
  const std::string path = path_ + "/" + name;
  if (::mkdir(path.c_str(), 0755) != 0)
    return ErrnoError(errno, "make control group '" + path + "'");
  return Cgroup(path);
}

Status CgroupFolder::TakeBack(pid_t pid) const {
  return WriteControlFile(path_ + "/cgroup.procs", std::to_string(pid));
}

Status Cgroup::Add(pid_t pid) const {
  return WriteControlFile(path_ + "/cgroup.procs", std::to_string(pid));
}

Result<std::vector<pid_t>> Cgroup::Processes() const {
  const Result<std::string> text = ReadControlFile(path_ + "/cgroup.procs");
  if (!text) return text.error();
  std::vector<pid_t> pids;
  std::istringstream words(*text);
  for (pid_t pid; words >> pid;) pids.push_back(pid);
  return pids;
}

Status Cgroup::Kill() const { return WriteControlFile(path_ + "/cgroup.kill", "1"); }

Result<bool> Cgroup::WaitEmpty(int64_t wait_ns) const {
  const std::string path = path_ + "/cgroup.events";
  const int64_t deadline = BootTimeNanos() + wait_ns;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  for (;;) {
    // Reading arms the next POLLPRI, so nothing is missed between the two.
    char bytes[512];
    const ssize_t got = ::pread(fd.get(), bytes, sizeof(bytes), 0);
    if (got < 0) return ErrnoError(errno, "read '" + path + "'");
    const std::string_view text(bytes, static_cast<size_t>(got));
    if (text.find("populated 0") != std::string_view::npos) return true;
    const int64_t left = deadline - BootTimeNanos();
    if (left <= 0) return false;
    pollfd waited{fd.get(), POLLPRI, 0};
    ::poll(&waited, 1, static_cast<int>((left + 999'999) / 1'000'000));
  }
}

Status Cgroup::Remove() const { return RemoveGroups(path_); }

}  // namespace brood
