// SPDX-License-Identifier: Apache-2.0
#include "controller/client/inventory.h"

#include <fcntl.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <utility>

#include "common/base/unique_fd.h"
#include "controller/client/host_set.h"

namespace brood {
namespace {

// How many known names an error lists before it says "…".
constexpr size_t kNamesListed = 20;

Result<std::string> ReadHostsFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return std::string();
    return ErrnoError(errno, "open hosts file '" + path + "'");
  }
  std::string text;
  char piece[16 << 10];
  for (;;) {
    const ssize_t size = ::read(fd.get(), piece, sizeof(piece));
    if (size < 0) return ErrnoError(errno, "read hosts file '" + path + "'");
    if (size == 0) return text;
    text.append(piece, static_cast<size_t>(size));
    if (text.size() > kHostsFileMax) {
      return Error{ErrorCode::kInvalidArgument, "HOSTS_FILE_TOO_LARGE",
                   "hosts file '" + path + "' is larger than " + std::to_string(kHostsFileMax) +
                       " bytes; split it",
                   "hosts"};
    }
  }
}

Error BadFile(const std::string& origin, const toml::source_region& where, const std::string& why) {
  std::ostringstream message;
  message << "hosts file '" << origin << "', line " << where.begin.line << ": " << why;
  return Error{ErrorCode::kInvalidArgument, "BAD_HOSTS_FILE", message.str(), "hosts"};
}

// "a, b, c" of a map's names, cut to a readable length.
template <typename Map>
std::string Names(const Map& map) {
  std::string names;
  size_t count = 0;
  for (const auto& [name, value] : map) {
    if (count == kNamesListed) return names + ", …";
    names += (count++ == 0 ? "" : ", ") + name;
  }
  return names.empty() ? "none" : names;
}

Result<HostAddress> ReadHost(const std::string& origin, const std::string& name,
                             const toml::node& node) {
  const toml::table* table = node.as_table();
  if (table == nullptr || !IsHostName(name) || name == kLocalHostName) {
    return BadFile(origin, node.source(),
                   "'" + name + "' is no host; write [hosts.NAME] with an address, NAME not '" +
                       kLocalHostName + "'");
  }
  HostAddress host{name, "", false};
  for (const auto& [key, value] : *table) {
    if (key == "address" && value.is_string()) {
      host.target = value.value_or(std::string());
    } else if (key == "insecure" && value.is_boolean()) {
      host.insecure = value.value_or(false);
    } else {
      return BadFile(origin, value.source(),
                     "host '" + name + "' has '" + std::string(key.str()) +
                         "', which is not understood; there are address = \"…\" and insecure = "
                         "true");
    }
  }
  if (host.target.empty()) {
    return BadFile(
        origin, node.source(),
        "host '" + name + "' has no address; write address = \"unix:/PATH\" or \"HOST:PORT\"");
  }
  return host;
}

}  // namespace

std::string LabRegistryPath(const std::string& state) { return state + "/lab/hosts.toml"; }

Result<Inventory> Inventory::Load(const Paths& paths) {
  Inventory inventory;
  inventory.lab_file_ = LabRegistryPath(paths.state);
  inventory.local_ = {kLocalHostName, "unix:" + AgentSocketPath(paths.runtime), false};
  for (const std::string& path : {paths.hosts, inventory.lab_file_}) {
    Result<std::string> text = ReadHostsFile(path);
    if (!text) return text.error();
    if (Status status = inventory.Add(*text, path)) return *status;
  }
  return inventory;
}

Status Inventory::Add(std::string_view text, const std::string& origin) {
  toml::table file;
  try {
    file = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return BadFile(origin, error.source(), std::string(error.description()));
  }
  for (const auto& [section, node] : file) {
    const toml::table* table = node.as_table();
    if (table == nullptr || (section != "hosts" && section != "groups")) {
      return BadFile(origin, node.source(),
                     "'" + std::string(section.str()) +
                         "' is not understood; there are [hosts.NAME] and [groups]");
    }
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      if (section == "hosts") {
        Result<HostAddress> host = ReadHost(origin, name, value);
        if (!host) return host.error();
        if (!hosts_.emplace(name, *host).second) twice_[name] = origin;
        origins_.emplace(name, origin);
        if (hosts_.size() > kHostSetMax) {
          return BadFile(origin, value.source(),
                         "there are more than " + std::to_string(kHostSetMax) + " hosts");
        }
      } else if (!value.is_string() || !IsHostName(name)) {
        return BadFile(origin, value.source(),
                       "group '" + name + "' is no set; write " + name + " = \"a,b[1-3]\"");
      } else if ((name == kLabGroup && origin != lab_file_) ||
                 !groups_.emplace(name, value.value_or(std::string())).second) {
        return BadFile(origin, value.source(),
                       "the group '" + name + "' is taken" +
                           (name == kLabGroup ? " by `brood lab`" : "") + "; name it otherwise");
      }
    }
  }
  return Ok();
}

Error Inventory::Unknown(const std::string& what, const std::string& name) const {
  return Error{ErrorCode::kNotFound, "UNKNOWN_HOST",
               "there is no " + what + " '" + name + "'; hosts known: " + Names(hosts_) +
                   "; groups known: " + Names(groups_) +
                   " (BROOD_HOSTS names the hosts file; `brood lab up` makes some here)",
               "hosts"};
}

Result<std::string> Inventory::Group(const std::string& name) const {
  const auto found = groups_.find(name);
  if (found == groups_.end()) return Unknown("group", "@" + name);
  return found->second;
}

Result<std::vector<HostAddress>> Inventory::Select(std::string_view set) const {
  Result<std::vector<std::string>> names =
      ExpandHostSet(set, [this](const std::string& name) { return Group(name); });
  if (!names) return names.error();
  std::vector<HostAddress> selected;
  selected.reserve(names->size());
  for (const std::string& name : *names) {
    if (name == kLocalHostName && !local_.target.empty()) {
      selected.push_back(local_);
      continue;
    }
    const auto found = hosts_.find(name);
    if (found == hosts_.end()) return Unknown("host", name);
    if (const auto twice = twice_.find(name); twice != twice_.end()) {
      return Error{ErrorCode::kFailedPrecondition, "HOST_NAMED_TWICE",
                   "host '" + name + "' is both in '" + origins_.at(name) + "' and in '" +
                       twice->second + "'; rename one",
                   "hosts"};
    }
    selected.push_back(found->second);
  }
  return selected;
}

}  // namespace brood
