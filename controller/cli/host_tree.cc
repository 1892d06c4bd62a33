// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/host_tree.h"

#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>
#include <utility>

#include "common/job/text.h"
#include "controller/cli/gather.h"
#include "controller/cli/visible.h"

namespace brood::cli {
namespace {

// Longest piece of a command line in a remark.
constexpr size_t kWordsMax = 60;

std::string What(const v1::Job& job) {
  std::string words;
  if (job.spec().has_call()) {
    words = job.spec().call().task();
  } else {
    for (const std::string& word : job.spec().command().argv())
      words += (words.empty() ? "" : " ") + word;
  }
  return words.size() <= kWordsMax ? words : words.substr(0, kWordsMax) + "…";
}

class Builder {
 public:
  explicit Builder(const HostReading& reading) : reading_(reading) {
    for (const v1::Job& job : reading.jobs) {
      // A thread has no process of its own: it stands below its parent's.
      if (job.mode() == v1::MODE_FORK && job.has_pid()) processes_[job.pid()] = &job;
      if (job.mode() == v1::MODE_THREAD && job.has_tid()) thread_jobs_.insert(job.tid());
    }
    for (const auto& [pid, process] : reading.processes) children_.emplace(process.ppid(), pid);
    for (const v1::Parent& parent : reading.parents)
      if (IsAlive(parent)) parents_[parent.pid()] = &parent;
  }

  TreeNode Build() {
    TreeNode root{"host", reading_.name, 0, 0, reading_.host.platform(), {}};
    TreeNode agent{"agent", "brood-agent", reading_.host.agent_pid(), 0, "talks", {}};
    TreeNode supervisor{
        "supervisor", "brood-supervisor", reading_.host.supervisor_pid(), 0, "waits", {}};
    Mark(agent.pid);
    Mark(supervisor.pid);
    AddChildren(&supervisor);
    AddChildren(&agent);
    if (supervisor.pid != 0 && ParentOf(supervisor.pid) == agent.pid) {
      agent.below.push_back(std::move(supervisor));
      supervisor.pid = 0;
    }
    // Started by a supervisor that has died: below the process that adopted it, or nobody known.
    std::vector<TreeNode> elsewhere;
    for (const auto& [pid, parent] : parents_)
      if (!done_.contains(pid)) elsewhere.push_back(ParentNode(*parent));
    for (const auto& [pid, job] : processes_)
      if (!done_.contains(pid)) elsewhere.push_back(JobNode(*job));
    for (TreeNode& node : elsewhere)
      node.remark += ", below pid " + std::to_string(ParentOf(node.pid));
    TreeNode waiting{"queue", "waiting", 0, 0, "", {}};
    for (const v1::Job& job : reading_.jobs)
      if (!job.has_pid()) waiting.below.push_back(JobNode(job));
    root.below.push_back(std::move(agent));
    if (supervisor.pid != 0) root.below.push_back(std::move(supervisor));
    for (TreeNode& node : elsewhere) root.below.push_back(std::move(node));
    if (!waiting.below.empty()) root.below.push_back(std::move(waiting));
    if (reading_.left_out > 0) {
      root.below.push_back(TreeNode{"more",
                                    std::to_string(reading_.left_out) + " processes and threads",
                                    0,
                                    0,
                                    "not shown",
                                    {}});
    }
    return root;
  }

 private:
  static bool IsAlive(const v1::Parent& parent) {
    return parent.pid() != 0 && (parent.state() == v1::PARENT_STATE_RUNNING ||
                                 parent.state() == v1::PARENT_STATE_ENDING);
  }

  bool Mark(int32_t pid) { return done_.insert(pid).second; }

  int32_t ParentOf(int32_t pid) const {
    if (const auto process = reading_.processes.find(pid); process != reading_.processes.end())
      return process->second.ppid();
    const auto job = processes_.find(pid);
    if (job != processes_.end()) return ReportedParent(*job->second);
    return parents_.contains(pid) ? reading_.host.supervisor_pid() : 0;
  }

  // As its events said when it started; if that process has ended, the supervisor's by design.
  int32_t ReportedParent(const v1::Job& job) const {
    return parents_.contains(job.ppid()) ? job.ppid() : reading_.host.supervisor_pid();
  }

  // Those that are no job: a job's has its own node.
  void AddThreads(TreeNode* node) {
    const auto process = reading_.processes.find(node->pid);
    if (process == reading_.processes.end()) return;
    for (const v1::ProcessThread& thread : process->second.threads()) {
      if (thread_jobs_.contains(thread.tid())) continue;
      const std::string main = thread.tid() == node->pid ? "main thread, " : "";
      node->below.push_back(TreeNode{"thread",
                                     ToUtf8(thread.name()),
                                     node->pid,
                                     thread.tid(),
                                     main + StateWord(thread.state()),
                                     {}});
    }
  }

  static std::string StateWord(const std::string& state) {
    if (state == "R") return "runs";
    if (state == "S") return "waits";
    if (state == "D") return "waits in the kernel";
    if (state == "T" || state == "t") return "stopped";
    if (state == "Z") return "has ended";
    return "state " + state;
  }

  void AddChildren(TreeNode* node) {
    if (node->pid == 0) return;
    AddThreads(node);
    std::set<int32_t> children;
    for (const auto& [pid, parent] : parents_)
      if (ParentOf(pid) == node->pid) children.insert(pid);
    for (const auto& [pid, job] : processes_)
      if (ParentOf(pid) == node->pid) children.insert(pid);
    const auto [first, last] = children_.equal_range(node->pid);
    for (auto child = first; child != last; ++child) children.insert(child->second);
    for (const int32_t pid : children) {
      if (done_.contains(pid)) continue;
      if (const auto parent = parents_.find(pid); parent != parents_.end()) {
        node->below.push_back(ParentNode(*parent->second));
      } else if (const auto job = processes_.find(pid); job != processes_.end()) {
        node->below.push_back(JobNode(*job->second));
      } else if (const auto process = reading_.processes.find(pid);
                 process != reading_.processes.end()) {
        node->below.push_back(ProcessNode(process->second));
      }
    }
  }

  TreeNode ParentNode(const v1::Parent& parent) {
    Mark(parent.pid());
    TreeNode node{
        "parent", parent.name(), parent.pid(), 0, "life " + std::to_string(parent.incarnation()),
        {}};
    for (const v1::Job& job : reading_.jobs) {
      if (job.mode() == v1::MODE_THREAD && job.has_pid() && job.pid() == parent.pid())
        node.below.push_back(JobNode(job));
    }
    AddChildren(&node);
    return node;
  }

  TreeNode JobNode(const v1::Job& job) {
    const bool thread = job.mode() == v1::MODE_THREAD;
    const std::string state = ShortName(v1::JobState_Name(job.state()), "JOB_STATE_");
    TreeNode node{"job", job.job_id(), job.pid(), job.tid(), "", {}};
    node.remark = (thread                        ? "thread, "
                   : job.mode() == v1::MODE_FORK ? "fork, "
                                                 : "") +
                  state + ", " + What(job);
    if (!thread && job.has_pid()) {
      Mark(job.pid());
      AddChildren(&node);
    }
    return node;
  }

  TreeNode ProcessNode(const v1::Process& process) {
    Mark(process.pid());
    TreeNode node{"process", ToUtf8(process.name()), process.pid(), 0, "", {}};
    if (process.state() == "Z") node.remark = "has ended, not yet waited for";
    AddChildren(&node);
    return node;
  }

  const HostReading& reading_;
  std::map<int32_t, const v1::Job*> processes_;
  std::map<int32_t, const v1::Parent*> parents_;
  std::multimap<int32_t, int32_t> children_;
  std::set<int32_t> thread_jobs_;  // tids
  std::set<int32_t> done_;
};

void PrintNode(const TreeNode& node, const std::string& first, const std::string& rest,
               std::ostream& out) {
  out << first << (node.kind == "host" ? "" : node.kind + " ") << Visible(node.name);
  if (node.pid != 0) out << "  pid " << node.pid;
  if (node.tid != 0 && (node.tid != node.pid || node.kind == "thread")) out << " tid " << node.tid;
  if (!node.remark.empty()) out << "  (" << Visible(node.remark) << ")";
  out << "\n";
  for (size_t i = 0; i < node.below.size(); ++i) {
    const bool last = i + 1 == node.below.size();
    PrintNode(node.below[i], rest + (last ? "└─ " : "├─ "), rest + (last ? "   " : "│  "), out);
  }
}

}  // namespace

TreeNode BuildTree(const HostReading& reading) { return Builder(reading).Build(); }

void PrintTreeText(const TreeNode& root, std::ostream& out) { PrintNode(root, "", "", out); }

nlohmann::ordered_json TreeToJson(const TreeNode& root) {
  nlohmann::ordered_json json = {{"kind", root.kind}, {"name", root.name}};
  if (root.pid != 0) json["pid"] = root.pid;
  if (root.tid != 0) json["tid"] = root.tid;
  if (!root.remark.empty()) json["remark"] = root.remark;
  for (const TreeNode& node : root.below) json["below"].push_back(TreeToJson(node));
  return json;
}

}  // namespace brood::cli
