// SPDX-License-Identifier: Apache-2.0
//
// What the host's processes noted about jobs. Every fact may come twice (an
// agent that returns reads the notes again): the second changes nothing.
#include <algorithm>
#include <csignal>
#include <utility>

#include "agent/core/core.h"
#include "agent/core/limits.h"
#include "agent/core/proto_time.h"
#include "common/base/lie.h"
#include "common/base/process_life.h"
#include "common/job/text.h"

namespace brood {
namespace {

void SetResult(const CallResult& result, v1::Exited* exited) {
  if (result.returned) *exited->mutable_returned()->mutable_value() = *result.returned;
  if (result.threw) exited->mutable_threw()->set_what(ToUtf8(*result.threw));
}

}  // namespace

void Core::OnStarted(Instant now, const StartedFact& fact, Batch* batch) {
  CoreJob* const job = Live(fact.job_key);
  if (job == nullptr || fact.attempt != job->view.attempt()) return;
  job->slot = fact.slot;  // No event has it: an agent that returns learns it anew.
  if (job->started()) return;
  SpendEnvironment(job, batch);
  job->start_ns = fact.start_ns;
  job->pgid = fact.pgid;
  v1::Event& event = Begin(now, job, v1::OBSERVER_PARENT, fact.evidence);
  v1::Unit* const unit = event.mutable_unit();
  unit->set_pid(fact.pid);
  unit->set_tid(fact.tid);
  unit->set_ppid(fact.ppid);
  if (!job->is_thread()) unit->set_pgid(fact.pgid);
  SetDuration(fact.start_ns, unit->mutable_start());
  v1::Started* const started = event.mutable_started();
  SetDuration(fact.fork_ns, started->mutable_fork_time());
  SetDuration(fact.gate_wait_ns, started->mutable_gate_wait());
  started->set_threads_at_fork(fact.threads_at_fork);
  job->threads_at_fork = fact.threads_at_fork;
  job->hazards = fact.hazards;
  if (fact.memory_bytes != 0) started->set_memory_bytes(fact.memory_bytes);
  for (const v1::Hazard& hazard : fact.hazards) *started->add_hazards() = hazard;
  Emit(job, batch);
  if (Lies(Lie::kInventedReparenting)) {
    OnReparented(now, ReparentedFact{job->key, 1, "init", v1::OBSERVER_AGENT}, batch);
  }
  TellOutput(now, job, batch);
  // Somebody asked for its end while it was being started: the signal went to
  // nobody then.
  if (job->cause != v1::END_CAUSE_UNSPECIFIED) {
    if (!job->is_thread()) SendSignal(*job, SIGTERM, true, batch);
    // One that was told to stop before it was there is told again.
    if (job->is_thread() && job->kill_at == 0) Stop(now, job, batch);
  }
  TellOutputLimit(now, job, batch);
}

void Core::OnSlot(const ParentKey& parent, uint64_t job_key, uint32_t attempt, uint32_t slot) {
  CoreJob* const job = Live(job_key);
  if (job == nullptr || job->parent != parent || !job->started()) return;
  if (attempt == job->view.attempt()) job->slot = slot;
}

void Core::OnFailedToStart(Instant now, const FailedFact& fact, Batch* batch) {
  CoreJob* const job = Live(fact.job_key);
  if (job == nullptr || fact.attempt != job->view.attempt() || job->started()) return;
  v1::FailedToStart* const failed =
      Begin(now, job, v1::OBSERVER_PARENT, v1::EVIDENCE_SEEN).mutable_failed_to_start();
  failed->set_step(fact.step);
  failed->set_error_number(fact.error_number);
  failed->set_message(fact.message);
  Emit(job, batch);
  EndJob(now, job, batch);
}

void Core::OnExited(Instant now, const ExitedFact& fact, Batch* batch) {
  CoreJob* const job = Live(fact.job_key);
  if (job == nullptr || job->is_thread()) return;
  if (fact.progress) OnProgress(now.wall, job->key, *fact.progress, batch);
  v1::Exited* const exited = Begin(now, job, fact.observer, v1::EVIDENCE_SEEN).mutable_exited();
  if (fact.status.exit_code) exited->set_exit_code(*fact.status.exit_code);
  if (fact.status.signal) exited->set_signal(*fact.status.signal);
  exited->set_core_dumped(fact.status.core_dumped);
  if (fact.status.usage) *exited->mutable_usage() = *fact.status.usage;
  if (fact.result) SetResult(*fact.result, exited);
  exited->set_cause(job->cause);
  if (fact.status.memory_limit_hit && job->cause == v1::END_CAUSE_UNSPECIFIED)
    exited->set_cause(v1::END_CAUSE_MEMORY_LIMIT);
  Emit(job, batch);
  if (fact.group_alive || job->cause != v1::END_CAUSE_UNSPECIFIED) {
    // What was asked to end is ended with all below it; else it is only looked at.
    job->awaits_tree = true;
    batch->effects.push_back(TreeEffect{job->key, job->view.job_id(), job->view.pid(),
                                        job->start_ns, job->cause != v1::END_CAUSE_UNSPECIFIED});
  }
  EndJob(now, job, batch);
}

void Core::OnThreadEnded(Instant now, const ThreadEndedFact& fact, Batch* batch) {
  CoreJob* const job = Live(fact.job_key);
  if (job == nullptr || !job->is_thread()) return;
  v1::ThreadEnded* const ended =
      Begin(now, job, v1::OBSERVER_PARENT, v1::EVIDENCE_SEEN).mutable_thread_ended();
  ended->set_cause(job->cause);
  if (fact.result.threw) {
    ended->mutable_threw()->set_what(ToUtf8(*fact.result.threw));
  } else if (fact.result.returned) {
    *ended->mutable_returned()->mutable_value() = *fact.result.returned;
  } else {
    ended->mutable_cancelled();
  }
  Emit(job, batch);
  EndJob(now, job, batch);
}

void Core::LoseThread(Instant now, CoreJob* job, const std::string& culprit, Batch* batch) {
  v1::ThreadEnded* const ended =
      Begin(now, job, v1::OBSERVER_SUPERVISOR, v1::EVIDENCE_SEEN).mutable_thread_ended();
  ended->mutable_parent_ended()->set_culprit_job_id(culprit);
  ended->set_cause(job->cause);
  Emit(job, batch);
  EndJob(now, job, batch);
}

void Core::OnStopped(Instant now, uint64_t job_key, int32_t signal, Batch* batch) {
  CoreJob* const job = Live(job_key);
  if (job == nullptr || !job->started()) return;
  v1::Event& event = Begin(now, job, v1::OBSERVER_PARENT, v1::EVIDENCE_SEEN);
  if (signal != 0) {
    event.mutable_stopped()->set_signal(signal);
  } else {
    event.mutable_continued();
  }
  Emit(job, batch);
}

void Core::OnProgress(WallTime wall, uint64_t job_key, const CallProgress& progress, Batch* batch) {
  CoreJob* const job = Live(job_key);
  if (job == nullptr || !job->started() || progress.boot_ns <= job->progress_ns) return;
  job->progress_ns = progress.boot_ns;
  v1::Progress* const event =
      Begin(Instant{BootTime{progress.boot_ns}, wall}, job, v1::OBSERVER_JOB, v1::EVIDENCE_REPORTED)
          .mutable_progress();
  event->set_fraction(std::clamp(progress.fraction, 0.0, 1.0));
  event->set_text(ToUtf8(progress.text));
  Emit(job, batch);
}

void Core::OnMemory(Instant now, const MemoryFact& fact, Batch* batch) {
  CoreJob* const job = Live(fact.job_key);
  if (job == nullptr || !job->started()) return;
  *Begin(now, job, v1::OBSERVER_JOB, fact.evidence).mutable_memory() = fact.memory;
  Emit(job, batch);
}

void Core::OnSignalled(Instant now, const SignalledFact& fact, Batch* batch) {
  CoreJob* const job = Live(fact.job_key);
  if (job == nullptr) return;
  v1::Signalled* const signalled =
      Begin(now, job, v1::OBSERVER_PARENT, v1::EVIDENCE_SEEN).mutable_signalled();
  signalled->set_signal(fact.signal);
  signalled->set_whole_group(fact.whole_group);
  signalled->set_error_number(fact.error_number);
  Emit(job, batch);
}

void Core::OnTree(Instant now, uint64_t job_key, const std::vector<v1::Unit>& survivors,
                  Batch* batch) {
  CoreJob* const job = Get(job_key);
  if (job == nullptr || !job->awaits_tree) return;
  job->awaits_tree = false;
  if (!job->ended) return;  // The kill came first; the end, and its own look at the tree, follow.
  job->survivors = survivors;
  CleanIfDone(now, job, batch);
}

bool Core::OnOrphanExited(Instant now, const OrphanFact& fact, Batch* batch) {
  // Few jobs run at once, and orphans are rare: a scan of the live ones will do. Of several the
  // first after its start: by the time its end is heard of, the pid may be another's.
  const CoreJob* job = nullptr;
  for (const auto& [job_key, one] : jobs_) {
    if (one->ended || one->is_thread() || !one->started() || one->view.pid() != fact.pid) continue;
    if (!LivedAt(fact.start_ns, fact.end_ns, one->start_ns)) continue;
    if (job == nullptr || one->start_ns < job->start_ns) job = one.get();
  }
  if (job != nullptr) {
    // An orphan's parent has ended, whoever of the two was waited for first: its end is said first.
    ParentEntry* const parent = Current(job->parent);
    if (parent != nullptr && parent->state != v1::PARENT_STATE_ENDED) {
      parent->early_orphans.push_back(fact);
      return true;
    }
    // Who waited for it has adopted it, also if nobody had the time to look.
    if (fact.waiter_pid != 0) {
      OnReparented(now,
                   ReparentedFact{job->key, fact.waiter_pid, fact.waiter, v1::OBSERVER_SUPERVISOR},
                   batch);
    }
    ExitedFact exited;
    exited.job_key = job->key;
    exited.status = fact.status;
    exited.result = fact.result;
    exited.progress = fact.progress;
    exited.group_alive = true;  // Not known: have it looked at.
    exited.observer = v1::OBSERVER_SUPERVISOR;
    OnExited(now, exited, batch);
    return true;
  }
  orphans_.push_back(fact);
  if (orphans_.size() > kUnmatchedOrphansKept) orphans_.pop_front();
  return false;
}

bool Core::HoldsEarlyOrphans() const {
  return std::any_of(parents_.begin(), parents_.end(),
                     [](const auto& entry) { return !entry.second.early_orphans.empty(); });
}

void Core::MatchOrphans(Instant now, ParentEntry* ended, Batch* batch) {
  for (const OrphanFact& fact : std::exchange(ended->early_orphans, {}))
    OnOrphanExited(now, fact, batch);
  for (const OrphanFact& fact : std::exchange(orphans_, {})) OnOrphanExited(now, fact, batch);
}

}  // namespace brood
