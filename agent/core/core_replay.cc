// SPDX-License-Identifier: Apache-2.0
//
// An agent that starts folds the journal into the state its predecessor left.
#include <utility>

#include "agent/core/core.h"
#include "agent/core/limits.h"
#include "agent/core/proto_time.h"
#include "common/job/job_fold.h"

namespace brood {

void Core::Replay(uint64_t cursor, uint64_t job_key, const v1::Event& event) {
  next_cursor_ = cursor + 1;
  if (job_key == 0) {
    ParentEntry& parent = parents_[event.unit().parent()];
    parent.key.name = event.unit().parent();
    if (event.incarnations().parent() < parent.key.incarnation) return;
    parent.key.incarnation = event.incarnations().parent();
    parent.seq = event.seq();
    parent.unit = event.unit();
    if (event.has_parent_started()) {
      parent.state = v1::PARENT_STATE_STARTING;
      parent.start_wall_ns = event.wall().seconds() * kNanosPerSecond + event.wall().nanos();
      parent.asked_end = v1::PARENT_END_UNSPECIFIED;
    } else if (event.has_parent_ending()) {
      parent.state = v1::PARENT_STATE_ENDING;
      parent.asked_end = event.parent_ending().how();
    } else if (event.has_parent_ended()) {
      parent.state = v1::PARENT_STATE_ENDED;
    }
    return;
  }
  if (job_key >= next_key_) next_key_ = job_key + 1;
  std::unique_ptr<CoreJob>& owned = jobs_[job_key];
  if (owned == nullptr) {
    // Retention may have cut its first events: then it can only be an old one.
    owned = std::make_unique<CoreJob>();
    owned->key = job_key;
    owned->replayed = true;
    owned->view.set_job_id(event.job_id());
    owned->view.set_host(event.host());
    owned->view.mutable_spec()->set_run_id(event.run_id());
    owned->first_cursor = cursor;
    keys_[event.job_id()] = job_key;
  }
  CoreJob& job = *owned;
  job.seq = event.seq();
  job.last_cursor = cursor;
  FoldEvent(event, &job.view);
  if (event.has_received()) job.digest = event.received().spec_digest();
  if (event.has_starting()) {
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
  if (event.has_timed_out()) {
    job.cause = v1::END_CAUSE_TIMED_OUT;
    job.kill_grace_ns = kKillGraceDefaultNanos;  // its own was in the spec, which is not kept
  }
  if (event.has_output_closed()) job.output_closed = true;
  if (job.view.state() == v1::JOB_STATE_ENDED && !job.ended) {
    job.ended = true;
    ended_.push_back(job_key);
    while (ended_.size() > kEndedJobsKept) {
      keys_.erase(Get(ended_.front())->view.job_id());
      jobs_.erase(ended_.front());
      ended_.pop_front();
    }
  }
}

void Core::EndReplay(Instant now, Batch* batch) {
  for (auto& entry : parents_) {
    // Not yet known to live: the supervisor will say.
    if (entry.second.state != v1::PARENT_STATE_ENDED)
      entry.second.state = v1::PARENT_STATE_STARTING;
  }
  for (auto& entry : jobs_) {
    CoreJob& job = *entry.second;
    if (job.ended) {
      CleanIfDone(now, &job, batch);
      continue;
    }
    if (job.view.attempt() == 0) {
      // Received and not sent: its spec lived in the agent's memory only.
      v1::Lost* const lost =
          Begin(now, &job, v1::OBSERVER_AGENT, v1::EVIDENCE_INFERRED).mutable_lost();
      lost->set_why("the agent ended while the job was waiting");
      lost->set_may_have_run(false);
      Emit(&job, batch);
      EndJob(now, &job, batch);
      CloseOutput(now, &job, v1::OutputClosed(), batch);
      CleanIfDone(now, &job, batch);
      continue;
    }
    job.holds_slot = true;
    ++running_[job.is_thread()];
    parents_[job.parent.name].key.name = job.parent.name;
    ParentEntry* const parent = Current(job.parent);
    if (parent != nullptr) parent->live[job.is_thread()].insert(job.key);
    const bool orphan = parent == nullptr || parent->state == v1::PARENT_STATE_ENDED;
    if (orphan && job.started() && !job.is_thread()) AskAdopter(job, batch);
    // Whether the signal went out before the agent died is not known: it goes again, and the
    // grace counts anew. Else nothing would ever end a job that does not listen.
    if (job.cause != v1::END_CAUSE_UNSPECIFIED) Stop(now, &job, batch);
  }
}

}  // namespace brood
