// SPDX-License-Identifier: Apache-2.0
//
// How jobs are made to end. There is one way for all who ask (a client, a
// time-out, the agent's own stop): a process gets SIGTERM, after its grace its
// whole tree SIGKILL; a thread's stop token is set.
#include <csignal>

#include "agent/core/core.h"
#include "agent/core/limits.h"
#include "agent/core/proto_time.h"
#include "common/job/text.h"

namespace brood {

void Core::SendSignal(const CoreJob& job, int32_t signal, bool whole_group, Batch* batch) {
  SignalJobEffect effect;
  effect.parent = job.parent;
  const auto parent = parents_.find(job.parent.name);
  // Of those only that have answered: one that was ending when this agent came may never.
  effect.parent_lives = parent != parents_.end() && parent->second.key == job.parent &&
                        parent->second.answers &&
                        (parent->second.state == v1::PARENT_STATE_RUNNING ||
                         parent->second.state == v1::PARENT_STATE_ENDING);
  effect.job_key = job.key;
  effect.pid = job.view.pid();
  effect.start_ns = job.start_ns;
  effect.signal = signal;
  effect.whole_group = whole_group;
  batch->effects.push_back(effect);
}

void Core::Stop(Instant now, CoreJob* job, Batch* batch) {
  if (job->is_thread()) {
    batch->effects.push_back(StopCallEffect{job->parent, job->key});
    ArmTimer(now.boot.ns + job->kill_grace_ns, job, TimerKind::kKill);
    return;
  }
  if (job->kill_grace_ns > 0 && job->started()) {
    SendSignal(*job, SIGTERM, true, batch);
    // A stopped process keeps SIGTERM pending until it goes on.
    if (job->view.state() == v1::JOB_STATE_STOPPED) SendSignal(*job, SIGCONT, true, batch);
  }
  if (job->kill_at == 0) ArmTimer(now.boot.ns + job->kill_grace_ns, job, TimerKind::kKill);
}

Status Core::Cancel(Instant now, const std::string& job_id, int64_t grace_ns, const std::string& by,
                    Batch* batch) {
  const auto key = keys_.find(job_id);
  if (key == keys_.end() && FindForgotten(job_id) != nullptr) return Ok();
  if (key == keys_.end()) {
    return Error{ErrorCode::kNotFound, "NO_SUCH_JOB",
                 "host '" + options_.host + "' knows no job " + Quoted(job_id), "job_ids"};
  }
  CoreJob* const job = Live(key->second);
  // Asking again changes nothing, and what has ended needs no end.
  if (job == nullptr || job->cause != v1::END_CAUSE_UNSPECIFIED) return Ok();
  job->cause = v1::END_CAUSE_CANCELLED;
  if (grace_ns >= 0) job->kill_grace_ns = grace_ns;
  v1::CancelRequested* const requested =
      Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_cancel_requested();
  requested->set_by(by.empty() ? "client" : by);
  SetDuration(job->kill_grace_ns, requested->mutable_grace());
  Emit(job, batch);
  if (!job->waits && job->unsynced_start == 0) {
    Stop(now, job, batch);
    return Ok();
  }
  Leave(job);
  CancelUnsent(now, job, batch);
  return Ok();
}

void Core::CancelUnsent(Instant now, CoreJob* job, Batch* batch) {
  Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_cancelled();
  Emit(job, batch);
  EndUnsent(now, job, batch);
}

void Core::EndUnsent(Instant now, CoreJob* job, Batch* batch) {
  EndJob(now, job, batch);
  CloseOutput(now, job, v1::OutputClosed(), batch);  // It never had any.
  CleanIfDone(now, job, batch);
}

uint32_t Core::CancelAll(Instant now, int64_t grace_ns, Batch* batch) {
  std::vector<std::string> ids;
  for (const auto& entry : jobs_) {
    if (!entry.second->ended) ids.push_back(entry.second->view.job_id());
  }
  for (const std::string& id : ids) Cancel(now, id, grace_ns, "agent stop", batch);
  return static_cast<uint32_t>(ids.size());
}

Status Core::Signal(Instant, const std::string& job_id, int32_t signal, bool whole_group,
                    Batch* batch) {
  const CoreJob* const job = Find(job_id);
  if (job == nullptr && FindForgotten(job_id) != nullptr) {
    return Error{ErrorCode::kFailedPrecondition, "NOT_RUNNING",
                 "job '" + job_id + "' does not run: it has ended", ""};
  }
  if (job == nullptr) {
    return Error{ErrorCode::kNotFound, "NO_SUCH_JOB",
                 "host '" + options_.host + "' knows no job " + Quoted(job_id), "job_ids"};
  }
  if (job->is_thread()) {
    return Error{ErrorCode::kFailedPrecondition, "UNSUPPORTED_IN_MODE",
                 "job '" + job_id + "' is a thread: signals go to processes; cancel it instead",
                 ""};
  }
  if (job->ended || !job->started()) {
    return Error{ErrorCode::kFailedPrecondition, "NOT_RUNNING",
                 "job '" + job_id + "' does not run: it " +
                     (job->ended ? "has ended" : "has not started yet"),
                 ""};
  }
  SendSignal(*job, signal, whole_group, batch);
  return Ok();
}

}  // namespace brood
