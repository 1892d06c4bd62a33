// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"
#include "common/base/paths.h"
#include "controller/client/host_address.h"

namespace brood {

// Largest hosts file that is read: kHostSetMax hosts at a hundred bytes each.
inline constexpr size_t kHostsFileMax = 1 << 20;

// Name of the group that `brood lab up` makes; no other file may define it.
inline constexpr char kLabGroup[] = "lab";

// The hosts and groups that are known by name. A value; for one thread.
//
//   [hosts.node1]
//   address = "unix:/run/brood/agent.sock"
//   [hosts.node2]
//   address = "10.0.0.12:7431"       # with TLS, as the user of the configuration
//   labels = {gpu = "a100"}
//   [groups]
//   web = "node1,node2"
//
// Groups that are always there: @all (and @*), and @KEY=VALUE, the hosts with that label. A group
// that no file defines is asked of ClusterShell (clustershell.h).
class Inventory {
 public:
  // The file `paths.hosts` (none is as good as an empty one) and the lab's own registry.
  // INVALID_ARGUMENT with file, line and what is wrong.
  static Result<Inventory> Load(const Paths& paths);

  // Adds what `text` says; `origin` names it in messages.
  Status Add(std::string_view text, const std::string& origin);

  // The hosts of a set (host_set.h), in order, each once. "local" is the agent of this
  // machine. NOT_FOUND for unknown hosts (folded) or groups, naming those known;
  // FAILED_PRECONDITION for two names of one address; INVALID_ARGUMENT for a set of nobody.
  Result<std::vector<HostAddress>> Select(std::string_view set) const;

  // What is wrong with it beyond what Load refuses, a sentence each: groups with unknown hosts,
  // addresses that nobody may connect to (CheckAddress), two hosts with one.
  std::vector<std::string> Check() const;

  // All hosts by name; all groups by name, with the set that each stands for.
  const std::map<std::string, HostAddress>& hosts() const { return hosts_; }
  const std::map<std::string, std::string>& groups() const { return groups_; }

 private:
  Error Unknown(const std::string& what, const std::string& name) const;
  Result<std::string> HostsWithLabel(const std::string& label) const;
  Result<std::string> Group(const std::string& name) const;

  std::map<std::string, HostAddress> hosts_;
  std::map<std::string, std::string> groups_;
  // By host: its labels, "key=value".
  std::map<std::string, std::set<std::string>> labels_;
  // Where each was first read from, and what was read a second time from elsewhere.
  std::map<std::string, std::string> origins_;
  std::map<std::string, std::string> twice_;
  std::string lab_file_;
  HostAddress local_;
  // Who we are for hosts over TLS.
  std::shared_ptr<const TlsFiles> user_;
};

// The lab's registry: STATE/lab/hosts.toml.
std::string LabRegistryPath(const std::string& state);

}  // namespace brood
