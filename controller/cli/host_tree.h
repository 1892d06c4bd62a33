// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "brood/v1/host_service.pb.h"
#include "brood/v1/job.pb.h"
#include "brood/v1/parent_service.pb.h"

namespace brood::cli {

// What was read of one host.
struct HostReading {
  std::string name;
  v1::Host host;
  std::vector<v1::Parent> parents;
  // Those that have not ended.
  std::vector<v1::Job> jobs;
  // What the kernel shows there, by pid.
  std::map<int32_t, v1::Process> processes;
  // Processes and threads that the answer had no room for.
  uint32_t left_out = 0;
};

// One line of the tree.
struct TreeNode {
  // "host", "agent", "supervisor", "parent", "job", "process", "thread", or "queue" and "more".
  std::string kind;
  // Of the host, parent, job or program.
  std::string name;
  // 0 where there is none.
  int32_t pid = 0;
  int32_t tid = 0;
  // What it is doing, or how it was placed here.
  std::string remark;
  std::vector<TreeNode> below;
};

// Agent, supervisor, parents, jobs (processes and threads) and what jobs have started.
// A process stands below the one that the kernel says is its parent; without the
// kernel's word below the one that its events named. Pure.
TreeNode BuildTree(const HostReading& reading);

// The same as lines with branches.
void PrintTreeText(const TreeNode& root, std::ostream& out);

// {"kind": …, "name": …, "pid": …, "tid": …, "remark": …, "below": […]}, without what is empty.
nlohmann::ordered_json TreeToJson(const TreeNode& root);

}  // namespace brood::cli
