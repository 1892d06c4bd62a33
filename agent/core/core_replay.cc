// SPDX-License-Identifier: Apache-2.0
//
// An agent that starts folds the journal into the state its predecessor left.
#include <utility>

#include "agent/core/core.h"
#include "agent/core/limits.h"
#include "agent/core/proto_time.h"
#include "common/base/planted_bug.h"
#include "common/job/job_fold.h"
#include "common/job/mode_choice.h"

namespace brood {
namespace {

// Retention cut the job's first events: its header says on what it runs, and a later event that it
// has ended.
void AdoptCut(const v1::Event& event, CoreJob* job) {
  const v1::Unit& unit = event.unit();
  job->mode = unit.mode();
  job->parent = ParentKey{unit.parent(), event.incarnations().parent()};
  job->start_ns = DurationNanos(unit.start());
  job->starting_ns = job->start_ns;
  job->kill_grace_ns = kKillGraceDefaultNanos;  // Its own is among what was cut.
  job->pgid = unit.pgid();
  v1::Job& view = job->view;
  view.set_mode(unit.mode());
  view.set_attempt(event.attempt());
  view.set_parent(unit.parent());
  view.set_parent_incarnation(event.incarnations().parent());
  view.set_state(event.attempt() == 0 ? v1::JOB_STATE_QUEUED : v1::JOB_STATE_STARTING);
  if (!unit.has_pid()) return;
  view.set_state(v1::JOB_STATE_RUNNING);
  view.set_pid(unit.pid());
  view.set_tid(unit.tid());
  view.set_ppid(unit.ppid());
}

bool IsAfterEnd(const v1::Event& event) {
  return event.has_output_closed() || event.has_survivors() || event.has_cleaned();
}

}  // namespace

void Core::Replay(uint64_t cursor, uint64_t job_key, const v1::Event& event) {
  next_cursor_ = cursor + 1;
  if (event.boot_id() != last_boot_) last_boot_ = event.boot_id();
  if (job_key == 0) {
    ParentEntry& parent = parents_[event.unit().parent()];
    FoldParentEvent(event, &parent.told);
    TakeUp(&parent);
    if (const CoreJob* const culprit = Find(event.parent_ended().culprit_job_id()))
      crashed_libraries_.insert(LibraryOf(culprit->view.spec().call().task()));
    return;
  }
  if (job_key >= next_key_) next_key_ = job_key + 1;
  std::unique_ptr<CoreJob>& owned = jobs_[job_key];
  if (owned == nullptr) {
    owned = std::make_unique<CoreJob>();
    owned->key = job_key;
    owned->replayed = true;
    owned->view.set_job_id(event.job_id());
    owned->view.set_host(event.host());
    owned->view.mutable_spec()->set_run_id(event.run_id());
    owned->first_cursor = cursor;
    keys_[event.job_id()] = job_key;
    if (!event.has_received()) AdoptCut(event, owned.get());
  }
  CoreJob& job = *owned;
  if (IsAfterEnd(event) && !job.ended && job.view.state() != v1::JOB_STATE_ENDED) {
    // Its end is among what was cut: how it ended is not known.
    job.view.set_state(v1::JOB_STATE_ENDED);
    job.view.set_outcome(v1::OUTCOME_LOST);
    job.view.set_message("the journal no longer has its end");
  }
  job.seq = event.seq();
  job.last_cursor = cursor;
  FoldEvent(event, &job.view);
  if (event.has_received()) {
    const v1::JobSpec& spec = event.received().spec();
    job.digest = event.received().spec_digest();
    job.mode = event.unit().mode();
    job.parent.name = event.unit().parent();
    job.kill_grace_ns =
        spec.has_kill_grace() ? DurationNanos(spec.kill_grace()) : kKillGraceDefaultNanos;
  }
  if (event.has_queued()) job.queued_said = true;
  if (event.has_starting()) {
    job.starting_ns = DurationNanos(event.mono());
    job.boot_id = event.boot_id();
    job.mode = event.starting().mode();
    job.parent = ParentKey{event.unit().parent(), event.incarnations().parent()};
  }
  if (event.has_started()) {
    job.start_ns = DurationNanos(event.unit().start());
    job.pgid = event.unit().pgid();
  }
  if (event.has_cancel_requested()) {
    job.cause = v1::END_CAUSE_CANCELLED;
    job.kill_grace_ns = DurationNanos(event.cancel_requested().grace());
  }
  if (event.has_started()) {
    job.threads_at_fork = event.started().threads_at_fork();
    job.hazards = {event.started().hazards().begin(), event.started().hazards().end()};
  }
  if (event.has_progress()) job.progress_ns = DurationNanos(event.mono());
  if (event.has_reparented()) job.reparented = true;
  if (event.has_stuck_suspected()) job.stuck_said = true;
  if (event.has_timed_out()) job.cause = v1::END_CAUSE_TIMED_OUT;
  if (event.has_output_limit()) job.cause = v1::END_CAUSE_OUTPUT_LIMIT;
  if (event.has_output_closed()) job.output_closed = true;
  if (event.has_output() || event.has_output_closed()) CountOutput(&job);
  if (event.has_output_closed() && job.output_counted > 0) closed_outputs_.push_back(job_key);
  if (job.view.state() == v1::JOB_STATE_ENDED && !job.ended) {
    job.ended = true;
    ended_.push_back(job_key);
    if (const std::optional<uint64_t> forgotten = ForgetOldest()) forgotten_.push_back(*forgotten);
  }
}

void Core::EndReplay(Instant now, Batch* batch) {
  for (const uint64_t job_key : std::exchange(forgotten_, {}))
    batch->effects.push_back(ForgetJobEffect{job_key});
  // Those that were freed are so again.
  FreeOutputs(batch);
  // Parents that are STARTING or ENDING are not yet known to live: the supervisor will say.
  EndBoot(now, batch);
  // Done after the loop, which ends of jobs would disturb.
  std::vector<CoreJob*> waited;
  std::vector<CoreJob*> ended_threads;
  for (auto& entry : jobs_) {
    CoreJob& job = *entry.second;
    if (job.ended) {
      CleanIfDone(now, &job, batch);
      if (!job.output_closed) unclosed_.push_back(job.key);
      continue;
    }
    if (job.view.attempt() == 0) {
      waited.push_back(&job);
      continue;
    }
    ParentEntry& parent = parents_[job.parent.name];
    parent.key.name = job.parent.name;
    const bool orphan = IsOver(job.parent);
    if (orphan && !job.started()) {
      waited.push_back(&job);
      continue;
    }
    job.holds_slot = true;
    ++running_[job.is_thread()];
    // Also of a life before the present one: its slots are needed until the last of them has ended.
    parent.live[job.is_thread()].insert(job.key);
    if (orphan && job.is_thread()) {
      ended_threads.push_back(&job);
      continue;
    }
    if (orphan) AskAdopter(job, batch);
    // Whether the signal went out before the agent died is not known: it goes again, and the
    // grace counts anew. Else nothing would ever end a job that does not listen.
    if (Planted(Bug::kTimeOutAnew)) job.starting_ns = now.boot.ns;
    if (job.cause != v1::END_CAUSE_UNSPECIFIED) {
      Stop(now, &job, batch);
    } else {
      ArmTimeout(&job);
    }
  }
  for (const uint64_t job_key : std::vector<uint64_t>(unclosed_)) {
    const CoreJob& job = *Find(job_key);
    if (IsOver(job.parent)) TakeUnclosed(job.parent);
  }
  // Their parent's end is in the journal, and theirs was not written any more.
  for (CoreJob* const job : ended_threads) LoseThread(now, job, "", batch);
  // In the order of their receipt, once all slots that are held are known.
  for (CoreJob* const job : waited) WaitAgain(now, job, batch);
  for (auto& entry : parents_) {
    if (entry.second.state == v1::PARENT_STATE_ENDED && entry.first != kDefaultParent)
      FailLine(now, &entry.second, "it ended", batch);
  }
}

// What ran has ended with the host, nobody knows how. Pids and the times of their starts are of
// others by now. What was about to start may have: the slot that would tell was in memory.
void Core::EndBoot(Instant now, Batch* batch) {
  if (IsAfterBoot()) next_key_ += kKeysLostMax;
  for (auto& [name, parent] : parents_) {
    if (!parent.of_other_boot) continue;
    ParentEndFact fact;
    fact.observer = v1::OBSERVER_AGENT;
    OnParentEnded(now, ParentKey(parent.key), fact, batch);
  }
  std::vector<CoreJob*> open;
  for (auto& [job_key, job] : jobs_) {
    if (!job->ended && IsOfOtherBoot(*job)) open.push_back(job.get());
  }
  if (open.empty()) return;
  for (CoreJob* const job : open) {
    if (!job->started()) {
      LoseUnsent(now, job, "", batch);
    } else if (job->is_thread()) {
      LoseThread(now, job, "", batch);
    } else {
      Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_INFERRED)
          .mutable_exited()
          ->set_cause(job->cause);
      Emit(job, batch);
      EndJob(now, job, batch);
    }
  }
  // They are taken with all whose output is not closed.
  just_ended_.clear();
}

// Of a parent whose streams are here by now, or will never come.
void Core::TakeUnclosed(const ParentKey& parent) {
  std::erase_if(unclosed_, [&](uint64_t job_key) {
    const CoreJob* const job = Find(job_key);
    if (job != nullptr && job->parent != parent) return false;
    if (job != nullptr && !job->output_closed) just_ended_.push_back(job_key);
    return true;
  });
}

std::optional<std::string> Core::WhyNotAgain(const CoreJob& job) {
  const v1::JobSpec& spec = job.view.spec();
  if (spec.what_case() == v1::JobSpec::WHAT_NOT_SET) return "the journal no longer has its spec";
  if (spec.has_environment() && !job.keeps_environment) return "its environment is not kept";
  if (spec.stdin_stream()) return "its input was in that agent's memory";
  return std::nullopt;
}

void Core::WaitAgain(Instant now, CoreJob* job, Batch* batch) {
  if (job->cause == v1::END_CAUSE_CANCELLED) return CancelUnsent(now, job, batch);
  // Sent, and its parent has ended without it.
  if (job->view.attempt() > 0 && !CanWaitForNextLife(*job))
    return LoseUnsent(now, job, "its parent ended before it was started", batch);
  if (const std::optional<std::string> why = WhyNotAgain(*job)) {
    return LoseUnsent(now, job, "the agent ended while the job was waiting, and " + *why, batch);
  }
  parents_[job->parent.name].key.name = job->parent.name;
  Enqueue(now, job, batch);
}

bool Core::ReplayEnvironment(uint64_t job_key, v1::Environment environment) {
  CoreJob* const job = Live(job_key);
  if (job == nullptr || job->started()) return false;
  if (!Planted(Bug::kEnvironmentLost)) job->environment = std::move(environment);
  job->keeps_environment = true;
  return true;
}

Status Core::Bind(CoreJob* job, const ParentEntry& parent) {
  Result<Reading> reading = ReadSpec(job->view.spec(), parent);
  if (!reading) return reading.error();
  job->arguments = std::move(reading->arguments);
  job->reason = reading->choice.mode == job->mode ? std::move(reading->choice.reason)
                                                  : "chosen when the job was received";
  return Ok();
}

// An earlier agent has read them with the tasks that the parent had then.
void Core::BindReplayed(Instant now, ParentEntry* parent, Batch* batch) {
  for (const auto& line : parent->lines) {
    for (const uint64_t job_key : std::set<uint64_t>(line)) {
      CoreJob* const job = Get(job_key);
      if (!job->replayed || !job->reason.empty()) continue;
      const Status refused = Bind(job, *parent);
      if (!refused) continue;
      Leave(job);
      v1::FailedToStart* const failed =
          Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_failed_to_start();
      failed->set_step("call");
      failed->set_message(refused->message);
      Emit(job, batch);
      EndJob(now, job, batch);
      CloseOutput(now, job, v1::OutputClosed(), batch);
      CleanIfDone(now, job, batch);
    }
  }
}

}  // namespace brood
