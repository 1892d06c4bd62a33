// SPDX-License-Identifier: Apache-2.0
#include "tests/chaos/failpoint_list.h"

#include <cerrno>
#include <cstdlib>
#include <map>
#include <sstream>

namespace brood::chaos {
namespace {

constexpr char kAgent[] = "brood-agent";
constexpr char kParent[] = "brood-parent";
constexpr char kSupervisor[] = "brood-supervisor";

// Longer than anything takes that could go on meanwhile, and short beside a run.
constexpr int32_t kDelayMs = 60;

struct Row {
  const char* point;
  const char* program;
  Drive drive;
  const char* words;
  uint32_t allowed = kNothing;
};

// In the order of a job's life, then of a host's.
const Row kRows[] = {
    // What a client asks for becomes a fact.
    {"submit.decided", kAgent, Drive::kLoad, "kill delay"},
    {"cancel.decided", kAgent, Drive::kLoad, "kill delay"},
    {"commit.decided", kAgent, Drive::kLoad, "kill late delay"},
    {"commit.environments_kept", kAgent, Drive::kLoad, "kill"},
    {"disk.write", kAgent, Drive::kLoad, "kill short torn delay"},
    {"disk.write", kAgent, Drive::kLoad, "ENOSPC EIO", kDoorShut},
    {"disk.truncate", kAgent, Drive::kLoad, "kill EIO"},
    {"journal.appended", kAgent, Drive::kLoad, "kill"},
    {"commit.written", kAgent, Drive::kLoad, "kill late delay"},
    {"start.untold", kAgent, Drive::kLoad, "kill late delay"},
    {"commit.done", kAgent, Drive::kLoad, "kill delay"},
    {"commit.acknowledged", kAgent, Drive::kLoad, "kill"},
    {"frame.send", kAgent, Drive::kLoad, "kill short delay"},
    {"frame.received", kAgent, Drive::kLoad, "kill"},
    {"frame.send", kParent, Drive::kLoad, "kill short"},
    {"frame.received", kParent, Drive::kLoad, "kill delay"},
    {"frame.send", kSupervisor, Drive::kAgent, "kill short"},
    {"frame.received", kSupervisor, Drive::kNewParent, "kill"},
    // A parent starts it.
    {"parent.frame", kParent, Drive::kLoad, "kill delay"},
    {"command.taken", kParent, Drive::kLoad, "kill"},
    {"parent.pipe", kParent, Drive::kLoad, "kill"},
    {"parent.pipe", kParent, Drive::kLoad, "EMFILE", kStartFails},
    {"command.announced", kParent, Drive::kLoad, "kill delay"},
    {"command.clone", kParent, Drive::kLoad, "kill"},
    {"command.clone", kParent, Drive::kLoad, "EAGAIN", kStartFails},
    {"child.claim", kParent, Drive::kLoad, "kill late delay"},
    {"child.claimed", kParent, Drive::kLoad, "kill late delay"},
    {"child.exec", kParent, Drive::kLoad, "kill late delay"},
    {"command.cloned", kParent, Drive::kLoad, "kill delay"},
    {"command.noted", kParent, Drive::kLoad, "kill"},
    {"call.taken", kParent, Drive::kLoad, "kill"},
    {"slot.reserve", kParent, Drive::kLoad, "kill"},
    {"slot.reserve", kParent, Drive::kLoad, "ENOSPC", kStartFails},
    {"fork.announced", kParent, Drive::kLoad, "kill delay"},
    {"fork.fork", kParent, Drive::kLoad, "kill"},
    {"fork.fork", kParent, Drive::kLoad, "EAGAIN", kStartFails},
    {"fork.forked", kParent, Drive::kLoad, "kill delay"},
    {"fork.noted", kParent, Drive::kLoad, "kill"},
    {"fork.writes_result", kParent, Drive::kLoad, "kill late delay"},
    {"fork.returned", kParent, Drive::kLoad, "kill late"},
    {"thread.create", kParent, Drive::kLoad, "kill"},
    {"thread.create", kParent, Drive::kLoad, "EAGAIN", kStartFails},
    {"thread.begin", kParent, Drive::kLoad, "kill delay"},
    {"thread.returned", kParent, Drive::kLoad, "kill delay"},
    {"thread.noted", kParent, Drive::kLoad, "kill"},
    // Its output.
    {"output.attach", kAgent, Drive::kLoad, "kill delay"},
    {"output.create", kAgent, Drive::kLoad, "kill"},
    {"output.create", kAgent, Drive::kLoad, "ENOSPC EIO", kOutputDropped},
    {"output.splice", kAgent, Drive::kLoad, "kill short delay EINVAL"},
    {"output.splice", kAgent, Drive::kLoad, "ENOSPC EIO", kOutputDropped},
    {"output.spliced", kAgent, Drive::kLoad, "kill"},
    {"output.close", kAgent, Drive::kLoad, "kill"},
    // Its end.
    {"process.ended", kParent, Drive::kLoad, "kill delay"},
    {"process.noted", kParent, Drive::kLoad, "kill delay"},
    {"process.reaped", kParent, Drive::kLoad, "kill"},
    {"outbox.append", kParent, Drive::kLoad, "kill ENOSPC delay"},
    {"outbox.commit", kParent, Drive::kLoad, "kill delay"},
    {"outbox.ring", kParent, Drive::kLoad, "kill delay"},
    {"notes.read", kAgent, Drive::kLoad, "kill delay"},
    {"end.output", kAgent, Drive::kLoad, "kill"},
    {"notes.release", kAgent, Drive::kLoad, "kill"},
    {"parent.drained", kParent, Drive::kLoad, "kill"},
    {"parent.signal", kParent, Drive::kLoad, "kill delay"},
    {"tree.stopped", kAgent, Drive::kLoad, "kill delay"},
    {"tree.done", kAgent, Drive::kLoad, "kill delay"},
    // The end of a parent, and who waits for what it leaves.
    {"parent.ending", kParent, Drive::kParentReturns, "kill"},
    {"supervisor.end.seen", kSupervisor, Drive::kParent, "kill delay"},
    {"outbox.append", kSupervisor, Drive::kParent, "kill ENOSPC"},
    {"outbox.commit", kSupervisor, Drive::kParent, "kill"},
    {"outbox.ring", kSupervisor, Drive::kParent, "kill delay"},
    {"supervisor.end.noted", kSupervisor, Drive::kParent, "kill delay"},
    {"supervisor.end.reaped", kSupervisor, Drive::kParent, "kill"},
    {"supervisor.note_read", kAgent, Drive::kParent, "kill delay"},
    {"slots.revoked", kAgent, Drive::kParent, "kill delay"},
    {"parent.ended.decided", kAgent, Drive::kParent, "kill"},
    {"life.forget", kAgent, Drive::kParent, "kill"},
    // The start of a parent.
    {"parent.start.asked", kAgent, Drive::kNewParent, "kill"},
    {"supervisor.launch", kSupervisor, Drive::kNewParent, "kill delay"},
    {"supervisor.spawn", kSupervisor, Drive::kNewParent, "kill EAGAIN"},
    {"supervisor.launched", kSupervisor, Drive::kNewParent, "kill delay"},
    {"supervisor.let_go", kSupervisor, Drive::kNewParent, "kill delay"},
    {"parent.go", kParent, Drive::kNewParent, "kill"},
    {"parent.listen", kParent, Drive::kNewParent, "kill delay"},
    {"parent.connect", kAgent, Drive::kNewParent, "kill ECONNREFUSED"},
    {"parent.greeted", kParent, Drive::kNewParent, "kill delay"},
    // An agent's start.
    {"disk.open", kAgent, Drive::kFirstStart, "kill ENOSPC", kAgentEnds},
    {"disk.preallocate", kAgent, Drive::kFirstStart, "kill ENOSPC", kAgentEnds | kDoorShut},
    {"disk.rename", kAgent, Drive::kFirstStart, "kill EIO", kAgentEnds},
    {"disk.sync", kAgent, Drive::kFirstStart, "kill EIO", kAgentEnds},
    {"disk.sync_folder", kAgent, Drive::kFirstStart, "kill EIO", kAgentEnds},
    {"agent.incarnation.rename", kAgent, Drive::kAgent, "kill ENOSPC EIO", kAgentEnds},
    {"recovery.replayed", kAgent, Drive::kAgent, "kill"},
    {"recovery.supervisor_found", kAgent, Drive::kAgent, "kill delay"},
    {"recovery.adopted", kAgent, Drive::kAgent, "kill delay"},
    {"supervisor.welcome", kSupervisor, Drive::kAgent, "kill delay"},
    {"parent.greeted", kParent, Drive::kAgent, "kill delay", kCallsRefused},
    {"parent.connect", kAgent, Drive::kAgent, "kill ECONNREFUSED"},
    {"parent.ask_known", kParent, Drive::kUntold, "kill delay"},
    {"recovery.streams", kAgent, Drive::kParentAndAgent, "kill delay"},
    // A supervisor's start.
    {"supervisor.fork", kAgent, Drive::kSupervisor, "kill EAGAIN"},
    {"supervisor.forked", kAgent, Drive::kSupervisor, "kill delay"},
    {"supervisor.listens", kSupervisor, Drive::kSupervisor, "kill delay"},
    {"supervisor.replaced", kAgent, Drive::kSupervisor, "kill delay"},
    {"recovery.older_supervisor", kAgent, Drive::kSupervisor, "kill"},
    {"recovery.older_supervisor", kAgent, Drive::kSupervisorAndAgent, "kill"},
};

FailAction ActionOf(const std::string& word, int32_t* argument) {
  static const std::map<std::string, FailAction> kActions = {
      {"kill", FailAction::kKill},   {"late", FailAction::kKill}, {"delay", FailAction::kDelay},
      {"short", FailAction::kShort}, {"torn", FailAction::kTorn},
  };
  static const std::map<std::string, int> kErrors = {
      {"EAGAIN", EAGAIN}, {"ECONNREFUSED", ECONNREFUSED},
      {"EINVAL", EINVAL}, {"EIO", EIO},
      {"EMFILE", EMFILE}, {"ENOSPC", ENOSPC},
  };
  const auto action = kActions.find(word);
  if (action == kActions.end()) {
    *argument = kErrors.at(word);
    return FailAction::kError;
  }
  *argument = word == "delay" || word == "late" ? kDelayMs : 0;
  return action->second;
}

}  // namespace

void PrintTo(const FailpointRun& run, std::ostream* out) {
  *out << run.word << " at " << run.point << " of " << run.program;
}

std::vector<FailpointRun> AllFailpointRuns() {
  std::vector<FailpointRun> runs;
  for (const Row& row : kRows) {
    std::istringstream words(row.words);
    FailpointRun run;
    run.point = row.point;
    run.program = row.program;
    run.drive = row.drive;
    run.allowed = row.allowed;
    while (words >> run.word) {
      run.action = ActionOf(run.word, &run.argument);
      runs.push_back(run);
    }
  }
  return runs;
}

}  // namespace brood::chaos
