// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/paths.h"
#include "common/base/unique_fd.h"
#include "controller/client/host_address.h"
#include "controller/lab/process_table.h"

namespace brood {

// Most hosts of one lab: each is three processes and a socket or two.
inline constexpr int kLabHostsMax = 200;

// Several agents on this machine, each a host of its own with its own folders:
// host1, host2, … in STATE/lab and RUNTIME/lab. They outlive the program that
// starts them. A lock makes Up and Down of several programs follow each other.
class Lab {
 public:
  // `paths` are those that the lab lies in; nothing is touched.
  Lab(Paths paths, std::string program_directory);

  // Starts what is missing of `hosts` hosts, and registers all; hosts beyond that stay.
  // `arguments` are added to each new agent's. Returns all hosts of the lab.
  Result<std::vector<HostAddress>> Up(int hosts, const std::vector<std::string>& arguments);

  // The hosts registered, whether they run or not; empty if there is no lab.
  Result<std::vector<HostAddress>> Hosts() const;

  // What Down did.
  struct Ended {
    int hosts = 0;
    // Jobs that the agents ended.
    unsigned jobs = 0;
    // Processes that did not end by themselves when asked, and were killed.
    std::vector<Process> killed;
    // Processes that are there even so.
    std::vector<Process> left;
  };
  // Ends agents, parents, supervisors and jobs, looks whether any process of the lab
  // is left, and removes registry and folders (not if one is left).
  Result<Ended> Down();

  // The processes of the lab: those started with its folders, and all below them.
  std::vector<Process> Processes() const;

  // Folders of one host.
  Paths HostPaths(const std::string& host) const;

 private:
  Result<UniqueFd> Lock() const;
  Status WriteRegistry(int hosts) const;
  Status CheckSocketLength(int hosts) const;

  const Paths paths_;
  const std::string program_directory_;
};

}  // namespace brood
