// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "agent/core/core_job.h"
#include "agent/core/effect.h"
#include "agent/core/fact.h"
#include "agent/core/known_ids.h"
#include "agent/core/limits.h"
#include "agent/core/parent_entry.h"
#include "brood/internal/v1/snapshot.pb.h"
#include "brood/v1/host_service.pb.h"
#include "brood/v1/job_service.pb.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/job/mode_choice.h"
#include "common/job/resource_limits.h"

namespace brood {

struct CoreOptions {
  std::string host;
  std::string boot_id;
  std::string journal_id;
  uint64_t agent_incarnation = 0;
  uint32_t process_slots = 0;
  uint32_t thread_slots = 0;
  uint32_t queue_limit = 0;
  v1::Mode default_mode = v1::MODE_FORK;
  size_t ended_jobs_kept = kEndedJobsKept;
  uint64_t output_bytes_kept = 0;  // of all jobs; 0: no bound
  LimitSupport limits;
};

// Fills `state` with what a replay of the job's events builds.
void FillJobState(const CoreJob& job, internal::v1::JobState* state);

// What the agent decides. Pure: no clock, thread, file, pid or random number in
// it. Each method is one input; what it decides is added to `*batch`. Callers
// hold one lock around it, write the batch, then perform its effects.
class Core {
 public:
  explicit Core(CoreOptions options);

  // ---- start: perhaps a snapshot (its jobs, then its state with the newest ids of the index), the
  // journal's events behind it in order, then the end of the replay.
  void RestoreJob(const internal::v1::JobState& state);
  void Restore(const internal::v1::CoreState& state, const std::vector<KnownId>& ids);
  void Replay(uint64_t cursor, uint64_t job_key, const v1::Event& event);
  // What the predecessor kept for a job that may not have started; false if nobody needs it.
  bool ReplayEnvironment(uint64_t job_key, v1::Environment environment);
  void EndReplay(Instant now, Batch* batch);
  // The journal is of another boot of the host: none of the processes it tells of is there.
  bool IsAfterBoot() const { return !last_boot_.empty() && last_boot_ != options_.boot_id; }

  // ---- wishes of clients (core_submit.cc, core_stop.cc, core_parents.cc)
  // The submission has been validated; `digest` is that of its spec. `*job_key` is 0 if it was
  // refused; the job may be a forgotten one.
  v1::SubmittedJob Submit(Instant now, const v1::JobSubmission& submission, uint32_t digest,
                          uint64_t* job_key, Batch* batch);
  Status Cancel(Instant now, const std::string& job_id, int64_t grace_ns, const std::string& by,
                Batch* batch);
  Status Signal(Instant now, const std::string& job_id, int32_t signal, bool whole_group,
                Batch* batch);
  Result<ParentKey> StartParent(Instant now, const std::string& name,
                                const std::vector<std::string>& libraries, Batch* batch);
  Result<ParentKey> EndParent(Instant now, const std::string& name, v1::ParentEnd how,
                              Batch* batch);
  void SetState(v1::HostState state) { state_ = state; }
  // Cancels every job with this grace. How many there were.
  uint32_t CancelAll(Instant now, int64_t grace_ns, Batch* batch);

  // ---- facts about the journal (core_disk.cc)
  // What was written up to this cursor is on the disk.
  void OnSynced(uint64_t cursor, Batch* batch);
  // While there is trouble no job is taken in and none is started; those that run go on.
  void OnJournalTrouble(Instant now, Status trouble, Batch* batch);

  // ---- facts from the host (core_facts.cc, core_parents.cc)
  void OnStarted(Instant now, const StartedFact& fact, Batch* batch);
  // The start slot of a job that another agent has seen start.
  void OnSlot(const ParentKey& parent, uint64_t job_key, uint32_t attempt, uint32_t slot);
  void OnFailedToStart(Instant now, const FailedFact& fact, Batch* batch);
  void OnExited(Instant now, const ExitedFact& fact, Batch* batch);
  void OnThreadEnded(Instant now, const ThreadEndedFact& fact, Batch* batch);
  void OnStopped(Instant now, uint64_t job_key, int32_t signal, Batch* batch);  // 0: continued
  // `wall` is of the hearing of it. What was heard before is not said again.
  void OnProgress(WallTime wall, uint64_t job_key, const CallProgress& progress, Batch* batch);
  void OnMemory(Instant now, const MemoryFact& fact, Batch* batch);
  void OnOutput(Instant now, uint64_t job_key, v1::Stream stream, uint64_t offset, uint64_t length,
                Batch* batch);
  // A stream went past the limit at which the job is to be ended.
  void OnOutputLimit(Instant now, uint64_t job_key, v1::Stream stream, Batch* batch);
  void OnOutputClosed(Instant now, uint64_t job_key, const v1::OutputClosed& closed, Batch* batch);
  void OnSignalled(Instant now, const SignalledFact& fact, Batch* batch);
  void OnDescendant(Instant now, uint64_t job_key, const v1::Unit& unit, bool exited, Batch* batch);
  void OnMemoryPages(Instant now, uint64_t job_key, const v1::MemoryPages& pages, Batch* batch);
  void OnStuckSuspected(Instant now, const StuckFact& fact, Batch* batch);
  // It still is, for as long as its spec gave it.
  void OnStillStuck(uint64_t job_key, Batch* batch);
  void OnReparented(Instant now, const ReparentedFact& fact, Batch* batch);
  void OnTree(Instant now, uint64_t job_key, const std::vector<v1::Unit>& survivors, Batch* batch);
  // Another supervisor is there: what the one before was asked for and did not do is asked again.
  void OnSupervisorChanged(Batch* batch);
  void OnParentStarted(Instant now, const ParentKey& parent, const v1::Unit& unit, Batch* batch);
  void OnParentReady(Instant now, const ParentKey& parent, std::vector<v1::Task> tasks,
                     std::vector<std::string> libraries, Batch* batch);
  void OnParentFailed(Instant now, const ParentKey& parent, const std::string& why, Batch* batch);
  void OnParentEnding(Instant now, const ParentKey& parent, v1::ParentEnd how, Batch* batch);
  void OnParentEnded(Instant now, const ParentKey& parent, const ParentEndFact& fact, Batch* batch);
  // A process of this host that was not its parent's any more. False: nobody's.
  bool OnOrphanExited(Instant now, const OrphanFact& fact, Batch* batch);
  // These jobs were never heard of by the parent they were sent to, and will not be.
  void OnUnknownToParent(Instant now, const ParentKey& key, const std::vector<uint64_t>& job_keys,
                         Batch* batch);
  // Time has come to NextDeadline().
  void OnTime(Instant now, Batch* batch);
  // CLOCK_BOOTTIME of the next thing to do; INT64_MAX if none.
  int64_t NextDeadline() const { return timers_.empty() ? INT64_MAX : timers_.begin()->first; }

  // The jobs that ended since the last call and may still have output to read.
  std::vector<uint64_t> TakeEnded() { return std::exchange(just_ended_, {}); }

  // ---- for a snapshot: what a replay of all events so far builds, but for the jobs
  // (FillJobState).
  internal::v1::CoreState State() const;
  uint64_t next_cursor() const { return next_cursor_; }
  // Ids that were forgotten into the index since the last call.
  std::deque<KnownId> TakeFreshIds() { return ids_.TakeFresh(); }

  // ---- to look
  const CoreJob* Find(const std::string& job_id) const;
  const CoreJob* Find(uint64_t job_key) const;
  // A job that has ended and been forgotten; null if it never was here, or too long ago.
  const KnownId* FindForgotten(const std::string& job_id) const {
    return ids_.Find(HashOfJobId(job_id));
  }
  // By key, so in the order of their receipt.
  using Jobs = absl::btree_map<uint64_t, std::unique_ptr<CoreJob>>;
  const Jobs& jobs() const { return jobs_; }
  const std::map<std::string, ParentEntry>& parents() const { return parents_; }
  const std::deque<v1::Parent>& ended_parents() const { return ended_parents_; }
  // That life of a parent has ended, or another one has come since.
  bool IsOver(const ParentKey& life) const;
  v1::Parent ViewParent(const ParentEntry& parent) const;
  void ViewHost(v1::Host* host) const;
  // Ends were heard of that only the end of a parent, not yet heard of, lets be told.
  bool HoldsEarlyOrphans() const;
  // Jobs that wait for a slot.
  uint32_t queued() const { return queued_; }

 private:
  enum class TimerKind { kTimeout, kKill };
  struct Timer {
    uint64_t job_key = 0;
    TimerKind kind = TimerKind::kTimeout;
  };

  // Makes the next event of a job (or of a parent, job null) in scratch_; the
  // caller sets the payload and calls Emit.
  v1::Event& Begin(Instant at, const CoreJob* job, v1::Observer observer, v1::Evidence evidence);
  void Emit(CoreJob* job, Batch* batch);
  void EmitParent(ParentEntry* parent, Batch* batch);
  static void FoldParentEvent(const v1::Event& event, internal::v1::ParentLife* told);
  // Makes an entry of a predecessor's that which its events told.
  void TakeUp(ParentEntry* parent) const;

  // Its attempt is of another boot: how far it came only events can tell.
  bool IsOfOtherBoot(const CoreJob& job) const {
    return !job.boot_id.empty() && job.boot_id != options_.boot_id;
  }
  CoreJob* Get(uint64_t job_key);
  // The job, if it has not ended and this fact is about its attempt.
  CoreJob* Live(uint64_t job_key);
  ParentEntry* Current(const ParentKey& parent);

  void Dispatch(Instant now, Batch* batch);
  void Launch(Instant now, CoreJob* job, ParentEntry* parent, Batch* batch);
  void SendStart(const CoreJob& job, Batch* batch);
  Error NothingNew() const;  // because of the journal's trouble
  void Leave(CoreJob* job);  // its line
  void Enqueue(Instant now, CoreJob* job, Batch* batch);
  void WaitAgain(Instant now, CoreJob* job, Batch* batch);
  void CancelUnsent(Instant now, CoreJob* job, Batch* batch);
  void FailUnsent(Instant now, CoreJob* job, const Error& error, Batch* batch);
  void EndUnsent(Instant now, CoreJob* job, Batch* batch);
  // A spec, read as the tasks of its parent say.
  struct Reading {
    ModeChoice choice;
    std::vector<v1::Value> arguments;
  };
  static v1::SubmittedJob SubmitKnown(const std::string& id, uint32_t known_digest,
                                      uint32_t digest);
  Result<Reading> ReadSpec(const v1::JobSpec& spec, const ParentEntry& parent) const;
  Status Bind(CoreJob* job, const ParentEntry& parent);  // of a replayed job
  void BindReplayed(Instant now, ParentEntry* parent, Batch* batch);
  void FailLine(Instant now, ParentEntry* parent, const std::string& why, Batch* batch);
  // Why a job that was sent or waited in another life, and has not started, can not be started now;
  // nothing if it can.
  static std::optional<std::string> WhyNotAgain(const CoreJob& job);
  bool CanWaitForNextLife(const CoreJob& job) const;
  void WaitForNextLife(CoreJob* job, ParentEntry* parent);
  void SpendEnvironment(CoreJob* job, Batch* batch);
  void BeginParent(ParentEntry* parent, Batch* batch);
  void AskForStart(const ParentEntry& parent, Batch* batch);

  void Stop(Instant now, CoreJob* job, Batch* batch);
  void SendSignal(const CoreJob& job, int32_t signal, bool whole_group, Batch* batch);
  void ArmTimer(int64_t when, CoreJob* job, TimerKind kind);
  void ArmTimeout(CoreJob* job);  // if its spec has one
  void DisarmTimers(CoreJob* job);
  void EndJob(Instant now, CoreJob* job, Batch* batch);  // after its end event
  // Forgets one job that is done with, if more than kEndedJobsKept have ended; its key, if it may
  // have files.
  std::optional<uint64_t> ForgetOldest();
  void TellOutput(Instant now, CoreJob* job, Batch* batch);
  void TellOutputLimit(Instant now, CoreJob* job, Batch* batch);
  void CountOutput(CoreJob* job);
  void FreeOutputs(Batch* batch);
  void CloseOutput(Instant now, CoreJob* job, const v1::OutputClosed& closed, Batch* batch);
  void CleanIfDone(Instant now, CoreJob* job, Batch* batch);
  void AskAdopter(const CoreJob& job, Batch* batch);
  void MatchOrphans(Instant now, ParentEntry* ended, Batch* batch);
  void TakeUnclosed(const ParentKey& parent);
  void EndBoot(Instant now, Batch* batch);
  void Lose(Instant now, CoreJob* job, const std::string& why, Batch* batch);
  // It was never sent, and will not be.
  void LoseUnsent(Instant now, CoreJob* job, const std::string& why, Batch* batch);
  void LoseThread(Instant now, CoreJob* job, const std::string& culprit, Batch* batch);

  const CoreOptions options_;
  v1::HostState state_ = v1::HOST_STATE_READY;
  Status trouble_;  // the journal's
  // Jobs with an unsynced_start, by its cursor; some may have come to an end since.
  std::deque<std::pair<uint64_t, uint64_t>> unsynced_starts_;
  uint64_t next_cursor_ = 1;
  uint64_t next_key_ = 1;
  v1::Event scratch_;

  Jobs jobs_;
  std::unordered_map<std::string, uint64_t> keys_;
  std::deque<uint64_t> ended_;  // oldest first
  KnownIds ids_;                // of those that were forgotten
  std::vector<uint64_t> just_ended_;
  // Replayed jobs that had ended and whose output had not: their parent has their streams.
  std::vector<uint64_t> unclosed_;
  std::vector<uint64_t> forgotten_;      // while the journal is replayed
  std::string last_boot_;                // of the last replayed event
  bool has_emitted_ = false;             // an event since
  std::deque<uint64_t> closed_outputs_;  // jobs whose output is closed and kept, oldest first
  uint64_t output_kept_ = 0;             // the disk's bytes of all jobs' output
  std::map<std::string, ParentEntry> parents_;
  std::deque<v1::Parent> ended_parents_;
  std::set<std::string> crashed_libraries_;
  std::deque<OrphanFact> orphans_;
  std::multimap<int64_t, Timer> timers_;
  uint32_t running_[2] = {0, 0};  // processes, threads that hold a slot
  uint32_t queued_ = 0;
};

}  // namespace brood
