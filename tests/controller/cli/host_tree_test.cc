// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/host_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace brood::cli {
namespace {

constexpr int kAgent = 10;
constexpr int kSupervisor = 11;
constexpr int kParent = 12;

// A host far away: only what was reported is known.
HostReading Reading() {
  HostReading reading;
  reading.name = "node1";
  reading.host.set_agent_pid(kAgent);
  reading.host.set_supervisor_pid(kSupervisor);
  v1::Parent parent;
  parent.set_name("default");
  parent.set_pid(kParent);
  parent.set_incarnation(1);
  parent.set_state(v1::PARENT_STATE_RUNNING);
  reading.parents.push_back(parent);
  return reading;
}

v1::Job Job(const std::string& id, v1::Mode mode, int pid, int tid, int ppid) {
  v1::Job job;
  job.set_job_id(id);
  job.set_mode(mode);
  job.set_state(v1::JOB_STATE_RUNNING);
  job.set_pid(pid);
  job.set_tid(tid);
  job.set_ppid(ppid);
  job.mutable_spec()->mutable_call()->set_task("demo.hold");
  return job;
}

// Names from the root to the one that is looked for, which is left out.
std::vector<std::string> Above(const TreeNode& node, const std::string& name) {
  for (const TreeNode& child : node.below) {
    if (child.name == name) return {node.name};
    std::vector<std::string> above = Above(child, name);
    if (above.empty()) continue;
    above.insert(above.begin(), node.name);
    return above;
  }
  return {};
}

using ::testing::ElementsAre;

TEST(HostTreeTest, NamesAThreadOnceAlsoWhereItIsAJob) {
  HostReading reading = Reading();
  reading.jobs = {Job("thread", v1::MODE_THREAD, kParent, 21, kSupervisor)};
  v1::Process& parent = reading.processes[kParent];
  parent.set_ppid(kSupervisor);
  const auto add = [&parent](int tid, const char* state, const char* name) {
    v1::ProcessThread* const thread = parent.add_threads();
    thread->set_tid(tid);
    thread->set_state(state);
    thread->set_name(name);
  };
  add(kParent, "S", "brood-parent");
  add(13, "R", "launcher");
  add(21, "S", "brood-parent");
  std::ostringstream out;
  PrintTreeText(BuildTree(reading), out);
  const std::string text = out.str();
  EXPECT_NE(text.find("thread brood-parent  pid 12 tid 12  (main thread, waits)"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("thread launcher  pid 12 tid 13  (runs)"), std::string::npos) << text;
  EXPECT_EQ(text.find("tid 21"), text.rfind("tid 21")) << text;
}

TEST(HostTreeTest, PutsForksAndThreadsBelowTheirParent) {
  HostReading reading = Reading();
  reading.jobs = {Job("fork", v1::MODE_FORK, 20, 20, kParent),
                  Job("thread", v1::MODE_THREAD, kParent, 21, kSupervisor)};
  const TreeNode tree = BuildTree(reading);
  EXPECT_THAT(Above(tree, "fork"), ElementsAre("node1", "brood-supervisor", "default"));
  EXPECT_THAT(Above(tree, "thread"), ElementsAre("node1", "brood-supervisor", "default"));
}

TEST(HostTreeTest, PutsAForkBelowTheSupervisorOnceItsParentHasEnded) {
  HostReading reading = Reading();
  reading.parents[0].set_state(v1::PARENT_STATE_ENDED);
  reading.jobs = {Job("fork", v1::MODE_FORK, 20, 20, kParent)};
  EXPECT_THAT(Above(BuildTree(reading), "fork"), ElementsAre("node1", "brood-supervisor"));
}

TEST(HostTreeTest, PutsAJobsOwnProcessesBelowItWhereverTheHostIs) {
  HostReading reading = Reading();
  reading.jobs = {Job("fork", v1::MODE_FORK, 20, 20, kParent)};
  reading.processes[30].set_pid(30);
  reading.processes[30].set_ppid(20);
  reading.processes[30].set_name("sle\xffp");
  EXPECT_THAT(Above(BuildTree(reading), "sle\uFFFDp"),
              ElementsAre("node1", "brood-supervisor", "default", "fork"));
}

TEST(HostTreeTest, SaysWhatTheAnswerHadNoRoomFor) {
  HostReading reading = Reading();
  reading.left_out = 7;
  std::ostringstream out;
  PrintTreeText(BuildTree(reading), out);
  EXPECT_NE(out.str().find("7 processes and threads  (not shown)"), std::string::npos) << out.str();
}

TEST(HostTreeTest, ListsWhatWaitsByItself) {
  HostReading reading = Reading();
  v1::Job job;
  job.set_job_id("queued");
  job.set_state(v1::JOB_STATE_QUEUED);
  reading.jobs = {job};
  EXPECT_THAT(Above(BuildTree(reading), "queued"), ElementsAre("node1", "waiting"));
}

TEST(HostTreeTest, DoesNotHangOnAPidThatIsItsOwnParent) {
  HostReading reading = Reading();
  reading.jobs = {Job("odd", v1::MODE_FORK, kParent, kParent, kParent)};
  std::ostringstream out;
  PrintTreeText(BuildTree(reading), out);
  EXPECT_NE(out.str().find("default"), std::string::npos);
}

TEST(HostTreeTest, ShowsControlBytesOfACommandAsText) {
  HostReading reading = Reading();
  v1::Job job = Job("bad", v1::MODE_FORK, 20, 20, kParent);
  job.mutable_spec()->mutable_command()->add_argv("\x1b[2J");
  reading.jobs = {job};
  std::ostringstream out;
  PrintTreeText(BuildTree(reading), out);
  EXPECT_EQ(out.str().find('\x1b'), std::string::npos);
  EXPECT_NE(out.str().find("\\x1b[2J"), std::string::npos);
}

}  // namespace
}  // namespace brood::cli
