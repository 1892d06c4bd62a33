// SPDX-License-Identifier: Apache-2.0
#include "agent/host/process_listing.h"

#include <map>
#include <set>
#include <string>

#include "agent/process/process_table.h"

namespace brood {

v1::ListProcessesResponse ListProcesses(const std::vector<pid_t>& roots, bool threads) {
  const std::vector<ProcessEntry> table = ReadProcessTable();
  std::multimap<pid_t, pid_t> children;
  for (const ProcessEntry& process : table) children.emplace(process.ppid, process.pid);
  std::set<pid_t> listed;
  std::vector<pid_t> open = roots;
  while (!open.empty()) {
    const pid_t pid = open.back();
    open.pop_back();
    if (pid <= 0 || !listed.insert(pid).second) continue;
    const auto [first, last] = children.equal_range(pid);
    for (auto child = first; child != last; ++child) open.push_back(child->second);
  }
  v1::ListProcessesResponse response;
  int room = kListedProcessesMax;
  for (const ProcessEntry& entry : table) {
    if (!listed.contains(entry.pid)) continue;
    if (room-- <= 0) {
      response.set_left_out(response.left_out() + 1);
      continue;
    }
    v1::Process* const process = response.add_processes();
    process->set_pid(entry.pid);
    process->set_ppid(entry.ppid);
    process->set_state(std::string(1, entry.state));
    process->set_name(entry.name);
    if (!threads) continue;
    for (const ProcessEntry& one : ReadThreadTable(entry.pid)) {
      if (room-- <= 0) {
        response.set_left_out(response.left_out() + 1);
        continue;
      }
      v1::ProcessThread* const thread = process->add_threads();
      thread->set_tid(one.pid);
      thread->set_state(std::string(1, one.state));
      thread->set_name(one.name);
    }
  }
  return response;
}

}  // namespace brood
