// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/core/core.h"
#include "agent/host/lives.h"
#include "tests/simulation/agent_journal.h"
#include "tests/simulation/agent_life.h"
#include "tests/simulation/agent_sequencer.h"
#include "tests/simulation/world.h"

namespace brood::simulation {

// The agent: its real core and decisions about lives, and what agent/host does around
// them, in steps at which it can be killed.
class AgentProgram final : public Program, public LifeHost {
 public:
  AgentProgram(World* world, const ProcessRef& self);
  ~AgentProgram() override;
  // Its main.
  void Start();

  ProcessRef process() const { return self_.lock(); }
  uint64_t incarnation() const { return incarnation_; }
  const AgentJournal& journal() const { return *journal_; }
  const Core* core() const { return core_.get(); }
  // Nothing of what it has decided is held for a full disk.
  bool has_written_all() const { return sequencer_->AllCommitted(); }
  // It answers clients.
  bool serves() const { return serves_; }
  // In a thread of gRPC's: one input, and `done` once it is in the journal, or on the disk.
  void Call(absl::FunctionRef<void(Core&, Instant, Batch*)> step, bool on_disk,
            AgentSequencer::Done done);
  // In the loop: act, then the end of its round.
  void InLoop(absl::FunctionRef<void()> act);
  void Attach(uint64_t job_key, const std::shared_ptr<Pipe>& pipe);

  // Of the sequencer.
  void OnPublished() { kernel_->KillPoint(); }
  void OnEffects(const std::vector<Effect>& effects);
  void OnDeadline(int64_t boot_ns);
  void At(int64_t delay_ns, std::function<void()> act);
  // LifeHost
  void StepCore(absl::FunctionRef<void(Core&, Instant, Batch*)> step) override;
  void LookAtCore(absl::FunctionRef<void(const Core&)> look) const override;
  Instant Now() const override { return world_->kernel.Now(); }
  void Later(std::function<void()> act) override;
  std::optional<int32_t> FindParentOf(int32_t pid, int64_t start_ns) const override;
  std::string NameOf(int32_t pid) const override;
  int32_t supervisor_pid() const override { return supervisor_pid_; }
  bool WatchStranger(int32_t pid, int64_t start_ns,
                     std::function<void(const WaitStatus&)> ended) override;
  void ReadSupervisorNotes() override;
  void ReadOlderSupervisorNotes() override;
  bool HoldsOtherBoot() override;
  void DropOtherBoot() override;
  std::shared_ptr<Life> FindLife(const ParentKey& key) const override { return Link(key); }
  std::vector<std::shared_ptr<Life>> ListLives() const override;
  std::shared_ptr<Life> OpenLife(const ParentKey& key) override;
  void ConnectLife(const ParentKey& key) override { Connect(key, 0); }
  void CloseLife(const ParentKey& key) override;
  void DropLife(const ParentKey& key) override;
  bool WritesItsFiles(uint64_t) const override { return false; }
  bool ReopenStreams(uint64_t job_key, int32_t pid, const StartSlot& start) override;

 private:
  // Of a job's output.
  struct Stream {
    std::shared_ptr<Pipe> pipe;  // null: at its end, or never had
    uint64_t told = 0;
    bool finishing = false;
    bool silent = false;
  };
  std::shared_ptr<AgentLife> Link(const ParentKey& key) const;
  void OpenSupervisor();
  void OnSupervisorFrames();
  void ReplaceSupervisor();
  void EndRound();
  void AwaitDefault();
  bool AdoptedAnswered() const;
  void Connect(const ParentKey& key, int attempt);
  void Launch(const StartParentEffect& effect);
  void Do(const Effect& effect);
  void SignalByPid(const SignalJobEffect& effect);
  void KillParent(const ParentKey& key);
  void LookAtTree(const TreeEffect& effect);
  void LookAtStranger(const ProcessRef& stranger, int looks,
                      const std::function<void(const WaitStatus&)>& ended);
  void Drain(uint64_t job_key);
  void Tell(uint64_t job_key);
  void Finish(uint64_t job_key);
  void CloseIfEnded(uint64_t job_key);

  World* const world_;
  Kernel* const kernel_;
  const std::weak_ptr<Process> self_;
  uint64_t incarnation_ = 0;
  std::unique_ptr<AgentJournal> journal_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<AgentSequencer> sequencer_;
  Lives lives_{this};
  std::map<ParentKey, std::shared_ptr<AgentLife>> links_;
  std::shared_ptr<SupervisorWire> supervisor_;
  int32_t supervisor_pid_ = 0;
  uint64_t supervisor_incarnation_ = 0;
  NotesReader supervisor_notes_;
  std::vector<std::function<void()>> spent_;  // removals, once all is committed
  std::map<uint64_t, Stream> streams_;
  std::map<ParentKey, uint64_t> asked_;  // supervisors, by incarnation, to start them
  std::set<ProcessRef> strangers_;
  uint64_t deadline_ = 0;  // the number of the timer that counts
  bool serves_ = false;
  bool serving_asked_ = false;
  int default_starts_ = 0;
  ParentKey default_;
  std::vector<ParentKey> adopted_;
  int64_t adopt_until_ns_ = 0;
};

}  // namespace brood::simulation
