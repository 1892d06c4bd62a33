// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/core/core.h"
#include "agent/host/event_feed.h"
#include "agent/host/job_inputs.h"
#include "agent/host/life.h"
#include "agent/host/lives.h"
#include "agent/host/options.h"
#include "agent/host/parent_link.h"
#include "agent/host/process_watch.h"
#include "agent/host/sequencer.h"
#include "agent/host/snapshot_thread.h"
#include "agent/host/stranger_watch.h"
#include "agent/host/supervisor_link.h"
#include "agent/host/tree_thread.h"
#include "agent/journal/journal.h"
#include "agent/process/limit_groups.h"
#include "agent/process/process_table.h"
#include "agent/spool/spool.h"
#include "common/base/event_loop.h"

namespace brood {

// The host's parts, put together: performs what the core decides and brings it
// what the host's processes note. gRPC stands above it and only translates.
class Agent final : public CommitListener,
                    public SupervisorLink::Listener,
                    public Spool::Listener,
                    public LifeHost {
 public:
  // Opens state, replays the journal, finds or starts the supervisor. The loop
  // must not run yet.
  static Result<std::unique_ptr<Agent>> Create(AgentOptions options, const Clock* clock,
                                               EventLoop* loop);
  ~Agent() override;

  // Calls `ready` in the loop's thread once the default parent runs or is known
  // not to (then with why).
  void Start(std::function<void(Status)> ready);

  // ---- for the services; thread-safe unless said otherwise
  Sequencer* sequencer() { return sequencer_.get(); }
  EventFeed* feed() { return &feed_; }
  const Journal* journal() const { return journal_.get(); }
  const Spool* spool() const { return spool_.get(); }
  JobInputs* inputs() { return inputs_.get(); }
  const AgentOptions& options() const { return options_; }
  void FillHost(v1::Host* host) const;
  // `done` is called in another thread, within milliseconds; or at once, with RESOURCE_EXHAUSTED,
  // where too many ask.
  void ListProcesses(bool threads, std::function<void(Result<v1::ListProcessesResponse>)> done);

  using ParentDone = std::function<void(Result<v1::Parent>)>;
  // Starts a parent and waits until it takes jobs; ends one and waits for its end.
  void StartParent(const std::string& name, std::vector<std::string> libraries, ParentDone done);
  void EndParent(const std::string& name, v1::ParentEnd how, ParentDone done);
  using MemoryDone = std::function<void(Result<v1::ReadMemoryResponse>)>;
  void ReadMemory(const v1::ReadMemoryRequest& request, MemoryDone done);
  // Watches cells of a parent's present life; `ready` once no write can be missed.
  struct WatchedParent {
    ParentKey key;
    MemoryWatch::Id id = 0;
  };
  using WatchReady = std::function<void(Result<WatchedParent>)>;
  void WatchMemory(const std::string& parent, std::vector<std::string> cells, WatchReady ready);
  void UnwatchMemory(const WatchedParent& watched);
  // Ends all jobs, parents and the supervisor (or with keep_jobs nothing), then
  // calls back with how many jobs had to be ended.
  void Stop(bool keep_jobs, std::function<void(uint32_t ended)> done);

  // For a clean end, when nobody brings anything any more: the next agent has nothing to replay.
  void WriteLastSnapshot();

 private:
  Agent(AgentOptions options, const Clock* clock, EventLoop* loop);
  Status Open();
  Status Replay();
  Status ReplayEnvironments();
  Status OpenSupervisor();
  void StartDefault(int times, const std::function<void(Status)>& ready);
  void AwaitAdopted(const std::function<void(Status)>& ready);

  // CommitListener
  void OnPublished(const std::vector<JournalRecord>& records, bool busy) override;
  void OnEffects(std::vector<Effect> effects) override;
  void OnDeadline(int64_t boot_ns) override;
  void OnJournalTrouble(const Status& trouble) override;
  void OnMore() override;
  // SupervisorLink::Listener
  void OnSupervisorNote(const Note& note, const std::string& text) override;
  void OnParentStartFailed(const internal::v1::StartFailed& failed) override;
  void OnSupervisorGone() override;
  // Spool::Listener
  void OnOutput(uint64_t job_key, OutputStream stream, uint64_t offset, uint64_t length) override;
  void OnOutputLimit(uint64_t job_key, OutputStream stream) override;
  void OnOutputClosed(uint64_t job_key, const Spool::Closed& closed) override;
  // LifeHost
  void StepCore(absl::FunctionRef<void(Core&, Instant, Batch*)> step) override;
  void LookAtCore(absl::FunctionRef<void(const Core&)> look) const override;
  Instant Now() const override { return clock_->Now(); }
  void Later(std::function<void()> act) override { loop_->Post(std::move(act)); }
  std::optional<int32_t> FindParentOf(int32_t pid, int64_t start_ns) const override;
  std::string NameOf(int32_t pid) const override;
  int32_t supervisor_pid() const override { return supervisor_pid_.load(); }
  bool WatchStranger(int32_t pid, int64_t start_ns,
                     std::function<void(const WaitStatus&)> ended) override;
  void ReadSupervisorNotes() override { supervisor_->ReadNotes(); }
  void ReadOlderSupervisorNotes() override;
  bool HoldsOtherBoot() override;
  void DropOtherBoot() override;
  std::shared_ptr<Life> FindLife(const ParentKey& key) const override { return Link(key); }
  std::vector<std::shared_ptr<Life>> ListLives() const override;
  std::shared_ptr<Life> OpenLife(const ParentKey& key) override;
  void ConnectLife(const ParentKey& key) override { ConnectParent(key, 0); }
  void CloseLife(const ParentKey& key) override;
  void DropLife(const ParentKey& key) override;
  bool WritesItsFiles(uint64_t job_key) const override { return spool_->IsFile(job_key); }
  bool ReopenStreams(uint64_t job_key, int32_t pid, const StartSlot& start) override;

  // False if it cannot be: then the job has failed to start.
  bool PrepareOutput(StartJobEffect* start);
  // The job fails to start; `failed` says why.
  void RefuseStart(const internal::v1::StartJob& job, FailedFact failed);
  void FindOutputs();
  void WriteBoot() const;
  void EndRound();
  void RecoverLater();
  // Makes the control groups that a job's limits need; false if the job cannot be started so.
  bool PrepareLimits(StartJobEffect* start);
  void RemoveLimitGroups();
  void KillParent(const ParentKey& key);
  void KillStranger(const ParentKey& key);
  void LaunchParent(const StartParentEffect& effect);
  void ConnectParent(const ParentKey& key, int attempt);
  void ReplaceSupervisor();
  void FindSpentFolders();
  std::shared_ptr<ParentLink> HoldLink(const ParentKey& key);
  void SignalByPid(const SignalJobEffect& effect);
  Result<std::shared_ptr<ParentLink>> RunningLink(const std::string& parent) const;
  void AnswerMemory(const ParentKey& key, const v1::ReadMemoryRequest& request,
                    const internal::v1::MemoryAnswer& answer, const MemoryDone& done);
  void CheckWaits();
  void StopParents();
  std::shared_ptr<ParentLink> Link(const ParentKey& key) const;
  std::string ParentDirectory(const ParentKey& key) const;
  std::string ParentSocket(const ParentKey& key) const;

  const AgentOptions options_;
  const Clock* const clock_;
  EventLoop* const loop_;
  int64_t start_wall_ns_ = 0;
  uint64_t incarnation_ = 0;
  std::unique_ptr<Journal> journal_;
  DiskFiles disk_;
  std::unique_ptr<EnvironmentFile> environments_;
  std::unique_ptr<Core> core_;
  EventFeed feed_;
  std::unique_ptr<Sequencer> sequencer_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<JobInputs> inputs_;
  std::unique_ptr<SupervisorLink> supervisor_;
  std::unique_ptr<StrangerWatch> strangers_;
  std::unique_ptr<LimitGroups> limit_groups_;
  // Of parents and supervisors that are gone; removed once all is committed.
  std::vector<std::string> spent_folders_;
  std::atomic<int> supervisor_pid_ = 0;
  std::unique_ptr<SnapshotThread> snapshots_;
  std::unique_ptr<TreeThread> trees_;
  std::unique_ptr<ProcessWatch> processes_;

  mutable absl::Mutex links_mutex_;
  // Shared: a committer on a gRPC thread may be sending while a life ends.
  std::map<ParentKey, std::shared_ptr<ParentLink>> links_ ABSL_GUARDED_BY(links_mutex_);

  // The loop's thread alone, from here on.
  struct Wait {
    ParentKey parent;
    bool for_end = false;
    ParentDone done;
  };
  Lives lives_{this};
  // Lives that a supervisor, by its incarnation, was asked to start.
  std::map<ParentKey, uint64_t> asked_;
  std::vector<Wait> waits_;
  std::vector<ParentKey> adopted_;  // found at the start, beside the default one
  std::map<ParentKey, std::string> start_errors_;
  EventLoop::TimerId deadline_timer_ = 0;
  bool journal_in_trouble_ = false;
  bool recovery_armed_ = false;
  EventLoop::TimerId groups_timer_ = 0;  // while processes of jobs that have ended live in groups
  std::function<void(uint32_t)> stop_done_;
  uint32_t stopped_jobs_ = 0;
  bool parents_told_ = false;
};

}  // namespace brood
