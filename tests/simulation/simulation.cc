// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/simulation.h"

#include <csignal>
#include <memory>
#include <utility>

#include "tests/simulation/agent_program.h"
#include "tests/simulation/clients.h"
#include "tests/simulation/world.h"

namespace brood::simulation {
namespace {

// Calm, everything is over in seconds: what takes longer will never be.
constexpr int64_t kPatienceNanos = 120'000'000'000;
// How many steps a victim may still take, where it does not die at once.
constexpr uint64_t kLastSteps = 30;
constexpr int64_t kDiskFullNanos = 400'000'000;

class Run {
 public:
  Run(uint64_t seed, bool show, Coverage* coverage)
      : world_(std::make_unique<World>(seed, coverage, show)), clients_(world_.get()) {}

  Outcome Go() {
    StartAgent();
    clients_.Start();
    PlanFaults();
    Kernel& kernel = world_->kernel;
    end_ns_ = kernel.now_ns() + world_->weather.span_ns;
    while (kernel.RunNext(end_ns_)) {
    }
    Calm();
    const int64_t patience_ns = kernel.now_ns() + kPatienceNanos;
    while (kernel.now_ns() < patience_ns && !clients_.WhatIsNotDone().empty()) {
      const int64_t next_ns = kernel.now_ns() + 50'000'000;
      while (kernel.RunNext(next_ns)) {
      }
    }
    return Judge();
  }

 private:
  // Whoever needs it starts it again.
  void StartAgent() {
    Kernel& kernel = world_->kernel;
    const ProcessRef agent = kernel.Spawn(Kernel::kInit, "agent");
    agent->is_brood = true;
    world_->agent = agent;
    agent->program = std::make_unique<AgentProgram>(world_.get(), agent);
    if (!calm_ && world_->random.Chance(world_->weather.agent_kills > 0 ? 150 : 0))
      agent->killed_in = 1 + world_->random.Below(60);
    kernel.At(agent, 1'000, [agent] { static_cast<AgentProgram*>(agent->program.get())->Start(); });
    WatchAgent(agent);
  }

  void WatchAgent(const ProcessRef& agent) {
    Kernel& kernel = world_->kernel;
    kernel.At(world_->random.Between(1'000'000, 30'000'000), [this, agent] {
      if (agent->alive) return WatchAgent(agent);
      StartAgent();
    });
  }

  void PlanFaults() {
    const Weather& weather = world_->weather;
    const auto plan = [this](int times, void (Run::*fault)()) {
      for (; times > 0; --times) {
        world_->kernel.At(world_->random.Between(0, world_->weather.span_ns), [this, fault] {
          if (!calm_) (this->*fault)();
        });
      }
    };
    plan(weather.agent_kills, &Run::KillAgent);
    plan(weather.parent_kills, &Run::KillParent);
    plan(weather.supervisor_kills, &Run::KillSupervisor);
    plan(weather.pair_kills, &Run::KillPair);
    plan(weather.all_kills, &Run::KillAll);
    plan(weather.power_losses, &Run::LosePower);
    plan(weather.disk_full, &Run::FillDisk);
    if (weather.clock_jumps) plan(3, &Run::JumpClock);
    if (weather.strangers) plan(30, &Run::SpawnStranger);
  }

  // Now, or in the middle of one of its next steps.
  void Kill(const ProcessRef& victim, Sometimes what) {
    if (victim == nullptr || !victim->alive) return;
    world_->kernel.Count(what);
    if (world_->random.Chance(700)) {
      victim->killed_in = 1 + world_->random.Below(kLastSteps);
    } else {
      world_->kernel.End(victim, CLD_KILLED, SIGKILL);
    }
  }
  void KillAgent() { Kill(world_->agent, Sometimes::kAgentKilled); }
  void KillSupervisor() { Kill(world_->supervisor, Sometimes::kSupervisorKilled); }
  void KillParent() {
    std::vector<ProcessRef> parents;
    for (const auto& [pid, process] : world_->kernel.processes()) {
      if (process->name == "parent" && process->alive) parents.push_back(process);
    }
    if (!parents.empty())
      Kill(parents[world_->random.Below(parents.size())], Sometimes::kParentKilled);
  }
  void KillPair() {
    world_->kernel.Count(Sometimes::kPairKilled);
    const uint64_t spared = world_->random.Below(3);
    if (spared != 0) KillParent();
    if (spared != 1) KillSupervisor();
    if (spared != 2) KillAgent();
  }
  void KillAll() {
    world_->kernel.Count(Sometimes::kAllKilled);
    std::vector<ProcessRef> all;
    for (const auto& [pid, process] : world_->kernel.processes()) {
      if (process->is_brood && !process->is_a_job && process->alive) all.push_back(process);
    }
    for (const ProcessRef& process : all) {
      Kill(process, process->name == "agent"    ? Sometimes::kAgentKilled
                    : process->name == "parent" ? Sometimes::kParentKilled
                                                : Sometimes::kSupervisorKilled);
    }
  }

  void JumpClock() {
    world_->kernel.SkewWall(world_->random.Between(-3'600'000'000'000, 3'600'000'000'000));
  }

  // Takes a pid for a while.
  void SpawnStranger() {
    Kernel& kernel = world_->kernel;
    const ProcessRef stranger = kernel.Spawn(Kernel::kInit, "stranger");
    stranger->program = std::make_unique<Program>();
    kernel.At(stranger, world_->random.Delay(50'000'000), [] { Kernel::ExitNow(CLD_EXITED, 0); });
  }

  void FillDisk() {
    world_->kernel.Count(Sometimes::kDiskFull);
    world_->disk.full = true;
    world_->kernel.At(world_->random.Between(1'000'000, kDiskFullNanos),
                      [this] { world_->disk.full = false; });
  }

  // What was not synced may be gone, each file from somewhere on.
  void LosePower() {
    Kernel& kernel = world_->kernel;
    kernel.Count(Sometimes::kPowerLost);
    power_lost_ = true;
    kernel.Reboot();
    Disk& disk = world_->disk;
    Random& random = world_->random;
    disk.full = false;
    JournalFile& journal = disk.journal;
    const size_t kept = journal.synced + random.Below(journal.records.size() - journal.synced + 1);
    if (kept < journal.records.size()) {
      kernel.Count(Sometimes::kRecordsForgotten);
      journal.records.resize(kept);
      journal.torn = random.Chance(500);
    }
    journal.synced = journal.records.size();
    const auto forget = [&random](NotesFile* notes) {
      const size_t from = notes->first_kept;
      if (notes->notes.size() > from)
        notes->notes.resize(from + random.Below(notes->notes.size() - from + 1));
    };
    for (auto& [number, notes] : disk.supervisors) forget(notes.get());
    for (auto& [key, folder] : disk.parents) {
      forget(&folder->notes);
      for (StartSlot& slot : folder->starts) {
        if (random.Chance(300)) slot = StartSlot();
      }
    }
    for (auto& [job_key, bytes] : disk.spool) bytes.resize(random.Below(bytes.size() + 1));
    world_->supervisor = nullptr;
    world_->parents.clear();
    world_->parent_bells.clear();
    world_->pipes.clear();
    clients_.OnReboot();
    end_ns_ = kernel.now_ns() + world_->weather.span_ns / 2;
    StartAgent();
  }

  void Calm() {
    calm_ = true;
    clients_.Calm();
    world_->disk.full = false;
    std::vector<int32_t> stopped;
    for (const auto& [pid, process] : world_->kernel.processes()) {
      process->killed_in = 0;
      if (process->stopped) stopped.push_back(pid);
    }
    // A signal is not repeated by an agent that comes after; who sent it sees that it did not go.
    for (const int32_t pid : stopped) world_->kernel.Kill(pid, SIGCONT, false);
  }

  Outcome Judge() {
    Outcome outcome;
    chaos::Observed observed;
    clients_.Tell(&observed, &outcome.breaches);
    for (const JournalRecord& record : world_->disk.journal.records) {
      v1::Event& event = observed.journal.emplace_back();
      event.ParseFromString(record.payload);
      CountEvent(event);
      const auto kept = world_->disk.spool.find(record.job_key);
      if (!event.has_output() || kept == world_->disk.spool.end()) continue;
      const v1::Output& output = event.output();
      if (output.offset() < kept->second.size())
        event.mutable_output()->set_bytes(kept->second.substr(output.offset(), output.length()));
    }
    observed.ledger = world_->ledger;
    observed.parents_died = world_->parents_died;
    observed.ends_may_be_unknown = world_->supervisors_died || power_lost_;
    observed.power_was_lost = power_lost_;
    observed.disk_was_full = world_->weather.disk_full > 0;
    for (std::string& breach : chaos::Judge(observed))
      outcome.breaches.push_back(std::move(breach));
    for (std::string& breach : world_->kernel.breaches())
      outcome.breaches.push_back(std::move(breach));
    LookForLeftovers(&outcome);
    const std::string not_done = clients_.WhatIsNotDone();
    if (!not_done.empty())
      outcome.breaches.push_back("calm does not come: " + not_done + " after " +
                                 std::to_string(kPatienceNanos / 1'000'000'000) + " s");
    outcome.trace_hash = world_->trace.hash();
    outcome.steps = world_->trace.steps();
    outcome.jobs = observed.plans.size();
    outcome.events = observed.journal.size();
    return outcome;
  }

  void CountEvent(const v1::Event& event) {
    Kernel& kernel = world_->kernel;
    if (event.has_timed_out()) kernel.Count(Sometimes::kTimedOut);
    if (event.has_starting() && event.attempt() > 1) kernel.Count(Sometimes::kStartedAnew);
    if (event.has_started() && event.evidence() == v1::EVIDENCE_REPORTED)
      kernel.Count(Sometimes::kStartFoundInSlot);
  }

  // Of jobs that are cleaned nothing runs but what was told of as a survivor, and of parents and
  // supervisors one each.
  void LookForLeftovers(Outcome* outcome) {
    std::map<std::string, int> counts;
    for (const auto& [pid, process] : world_->kernel.processes()) {
      if (process->alive && process->is_brood) ++counts[process->name];
    }
    const auto most = [&](const char* name, int limit) {
      if (counts[name] > limit)
        outcome->breaches.push_back(std::to_string(counts[name]) + " processes '" + name +
                                    "' are left");
    };
    most("job", 0);
    most("parent", 2);
    most("supervisor", 1);
    most("agent", 1);
  }

  std::unique_ptr<World> world_;
  Clients clients_;
  bool calm_ = false;
  bool power_lost_ = false;
  int64_t end_ns_ = 0;
};

}  // namespace

Outcome Simulate(uint64_t seed, bool show, Coverage* coverage) {
  return Run(seed, show, coverage).Go();
}

}  // namespace brood::simulation
