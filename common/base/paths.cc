// SPDX-License-Identifier: Apache-2.0
#include "common/base/paths.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "common/base/unique_fd.h"

namespace brood {
namespace {

std::string Get(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string Home() {
  const std::string home = Get("HOME");
  if (!home.empty()) return home;
  const passwd* entry = ::getpwuid(::getuid());
  return entry != nullptr ? entry->pw_dir : "/";
}

}  // namespace

Result<Paths> PathsFromEnvironment() {
  Paths paths;
  struct Row {
    const char* variable;
    std::string* path;
  };
  for (const Row& row :
       {Row{"BROOD_STATE_DIR", &paths.state}, Row{"BROOD_RUNTIME_DIR", &paths.runtime},
        Row{"BROOD_CONFIG", &paths.config}, Row{"BROOD_HOSTS", &paths.hosts}}) {
    *row.path = Get(row.variable);
    if (!row.path->empty() && row.path->front() != '/') {
      return Error{ErrorCode::kInvalidArgument, "RELATIVE_PATH",
                   std::string(row.variable) + " is '" + *row.path + "'; give an absolute path",
                   row.variable};
    }
  }
  if (paths.state.empty()) {
    const std::string xdg = Get("XDG_STATE_HOME");
    paths.state = (xdg.empty() ? Home() + "/.local/state" : xdg) + "/brood";
  }
  if (paths.runtime.empty()) {
    const std::string xdg = Get("XDG_RUNTIME_DIR");
    paths.runtime = xdg.empty() ? "/tmp/brood-" + std::to_string(::getuid()) : xdg + "/brood";
  }
  if (paths.config.empty()) {
    const std::string xdg = Get("XDG_CONFIG_HOME");
    paths.config = (xdg.empty() ? Home() + "/.config" : xdg) + "/brood/config.toml";
  }
  if (paths.hosts.empty()) {
    paths.hosts = paths.config.substr(0, paths.config.rfind('/')) + "/hosts.toml";
  }
  return paths;
}

std::string MachineStateDirectory(const std::string& state) {
  const UniqueFd fd(::open("/etc/machine-id", O_RDONLY | O_CLOEXEC));
  char id[32];
  // A machine without an id (a fresh chroot) still gets a folder of its own.
  const bool known = fd && ::read(fd.get(), id, sizeof(id)) == sizeof(id);
  return state + "/" + (known ? std::string(id, sizeof(id)) : "no-machine-id");
}

std::string AgentSocketPath(const std::string& runtime) { return runtime + "/agent.sock"; }

std::string StoppedMarkPath(const std::string& runtime) { return runtime + "/agent-stopped"; }

std::string SupervisorSocketPath(const std::string& runtime) {
  return runtime + "/supervisor.sock";
}

Status MakePrivateDirectory(const std::string& path) {
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string above = path.substr(0, at);
    if (::mkdir(above.c_str(), 0700) != 0 && errno != EEXIST)
      return ErrnoError(errno, "mkdir '" + above + "'");
  }
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return ErrnoError(errno, "mkdir '" + path + "'");
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return ErrnoError(errno, "stat '" + path + "'");
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() ||
      (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error{
        ErrorCode::kPermissionDenied, "UNSAFE_DIRECTORY",
        "'" + path + "' is not a folder that only you can write to; remove it, or name another one",
        ""};
  }
  return Ok();
}

std::string ProgramDirectory() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof(path));
  const std::string program(path, size > 0 ? static_cast<size_t>(size) : 0);
  return program.substr(0, program.rfind('/'));
}

}  // namespace brood
