// SPDX-License-Identifier: Apache-2.0
//
// From a submission to a start: the choice of the mode, the lines, the slots.
#include <sys/resource.h>

#include <utility>

#include "agent/core/core.h"
#include "agent/core/limit_plan.h"
#include "agent/core/limits.h"
#include "agent/core/proto_time.h"
#include "agent/core/spec_frame.h"
#include "common/base/planted_bug.h"
#include "common/job/call_arguments.h"
#include "common/job/mode_choice.h"

namespace brood {
namespace {

v1::SubmittedJob Refused(const std::string& job_id, const Error& error) {
  v1::SubmittedJob answer;
  answer.set_job_id(job_id);
  answer.set_error_code(static_cast<int32_t>(error.code));
  answer.set_error_reason(error.reason);
  answer.set_error_message(error.message);
  answer.set_error_field(error.field);
  return answer;
}

}  // namespace

Result<Core::Reading> Core::ReadSpec(const v1::JobSpec& spec, const ParentEntry& parent) const {
  Reading reading;
  TaskTraits traits;
  bool crashed = false;
  if (spec.has_call()) {
    const auto task = parent.tasks.find(spec.call().task());
    if (task == parent.tasks.end()) {
      return Error{ErrorCode::kNotFound, "NO_SUCH_TASK",
                   "spec.call.task: parent '" + parent.key.name + "' has no task '" +
                       spec.call().task() + "'; 'brood tasks' lists those it has",
                   "spec.call.task"};
    }
    Result<std::vector<v1::Value>> bound = BindArguments(task->second, spec.call());
    if (!bound) return bound.error();
    reading.arguments = std::move(*bound);
    traits.isolated = task->second.isolated();
    traits.shares_memory = task->second.shares_memory();
    crashed = crashed_libraries_.count(LibraryOf(spec.call().task())) > 0;
  }
  reading.choice = ChooseMode(spec, traits, crashed, options_.default_mode);
  reading.choice.reason += SayLimitsHere(spec, options_.limits);
  return reading;
}

// The id is known here, as that of a spec with this digest.
v1::SubmittedJob Core::SubmitKnown(const std::string& id, uint32_t known_digest, uint32_t digest) {
  v1::SubmittedJob answer;
  answer.set_job_id(id);
  if (known_digest == digest) {
    answer.set_already_existed(true);
  } else {
    answer = Refused(id, Error{ErrorCode::kAlreadyExists, "JOB_ID_TAKEN",
                               "job_id: '" + id +
                                   "' is the id of a job with another spec here; choose a new one",
                               "job_id"});
  }
  answer.set_spec_digest(known_digest);
  return answer;
}

v1::SubmittedJob Core::Submit(Instant now, const v1::JobSubmission& submission, uint32_t digest,
                              uint64_t* job_key, Batch* batch) {
  const v1::JobSpec& spec = submission.spec();
  const std::string& id = submission.job_id();
  *job_key = 0;
  // Also of a job that is known: that it is kept cannot be said again now.
  if (trouble_) return Refused(id, NothingNew());
  if (const CoreJob* const known = Planted(Bug::kNoDedupe) ? nullptr : Find(id)) {
    if (known->digest == digest) {
      *job_key = known->key;
      batch->sync |= spec.durable();
    }
    return SubmitKnown(id, known->digest, digest);
  }
  if (const KnownId* const known = FindForgotten(id)) {
    if (known->digest == digest) *job_key = known->job_key;
    return SubmitKnown(id, known->digest, digest);
  }
  if (state_ != v1::HOST_STATE_READY) {
    const bool draining = state_ == v1::HOST_STATE_DRAINING;
    return Refused(id, Error{ErrorCode::kUnavailable, draining ? "DRAINING" : "STOPPING",
                             "host '" + options_.host + "' takes no jobs: it is " +
                                 (draining ? "drained; resume it, or use another one" : "stopping"),
                             ""});
  }
  const std::string name = spec.parent().empty() ? kDefaultParent : spec.parent();
  const auto found = parents_.find(name);
  const bool starts_itself = name == kDefaultParent;
  if (found == parents_.end() ||
      (!starts_itself && found->second.state != v1::PARENT_STATE_RUNNING &&
       found->second.state != v1::PARENT_STATE_STARTING)) {
    return Refused(id,
                   Error{ErrorCode::kNotFound, "NO_SUCH_PARENT",
                         "spec.parent: no parent '" + name + "' runs on host '" + options_.host +
                             "'; start it first (brood parent start " + name + ")",
                         "spec.parent"});
  }
  ParentEntry& parent = found->second;
  Result<Reading> reading = ReadSpec(spec, parent);
  if (!reading) return Refused(id, reading.error());
  if (const Status cannot = CheckLimitsHere(spec, options_.limits, options_.host))
    return Refused(id, *cannot);
  if (queued_ >= options_.queue_limit) {
    return Refused(id, Error{ErrorCode::kResourceExhausted, "QUEUE_FULL",
                             "host '" + options_.host + "' has " + std::to_string(queued_) +
                                 " jobs waiting, its limit; try again later",
                             ""});
  }

  auto owned = std::make_unique<CoreJob>();
  CoreJob* const job = owned.get();
  job->key = next_key_++;
  job->digest = digest;
  job->mode = reading->choice.mode;
  job->reason = std::move(reading->choice.reason);
  job->arguments = std::move(reading->arguments);
  job->parent.name = name;
  job->kill_grace_ns =
      spec.has_kill_grace() ? DurationNanos(spec.kill_grace()) : kKillGraceDefaultNanos;
  job->view.set_job_id(id);
  job->view.set_host(options_.host);
  job->view.mutable_spec()->set_run_id(spec.run_id());  // Each event says it.
  job->view.set_parent(name);
  if (spec.environment().ByteSizeLong() > 0) {
    job->environment = spec.environment();
    job->keeps_environment = true;
    batch->environments.emplace_back(job->key, spec.environment().SerializeAsString());
  }
  jobs_.emplace(job->key, std::move(owned));
  keys_.emplace(id, job->key);
  *job_key = job->key;

  v1::Received* const received =
      Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_received();
  received->set_spec_digest(digest);
  *received->mutable_spec() = spec;
  received->mutable_spec()->clear_environment();
  // Not told, but that there was one.
  if (job->keeps_environment) received->mutable_spec()->mutable_environment();
  Emit(job, batch);
  batch->sync |= spec.durable();
  if (starts_itself && parent.state == v1::PARENT_STATE_ENDED) BeginParent(&parent, batch);
  Enqueue(now, job, batch);
  v1::SubmittedJob answer;
  answer.set_job_id(id);
  answer.set_spec_digest(digest);
  return answer;
}

void Core::Enqueue(Instant now, CoreJob* job, Batch* batch) {
  const bool thread = job->is_thread();
  job->waits = true;
  parents_.at(job->parent.name).lines[thread].insert(job->key);
  ++queued_;
  Dispatch(now, batch);
  // It may be said once a job has been sent no more.
  if (!job->waits || job->queued_said || job->view.attempt() > 0) return;
  uint64_t position = 0;
  for (const auto& entry : parents_) position += entry.second.lines[thread].size();
  Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_queued()->set_position(position);
  Emit(job, batch);
  job->queued_said = true;
}

void Core::Leave(CoreJob* job) {
  if (!job->waits) return;
  parents_.at(job->parent.name).lines[job->is_thread()].erase(job->key);
  job->waits = false;
  --queued_;
}

void Core::Dispatch(Instant now, Batch* batch) {
  if (trouble_) return;
  const uint32_t slots[2] = {options_.process_slots, options_.thread_slots};
  for (const int mode : {0, 1}) {
    while (running_[mode] < slots[mode]) {
      // The first in line over all parents that can take it.
      ParentEntry* first = nullptr;
      for (auto& entry : parents_) {
        ParentEntry& parent = entry.second;
        if (parent.state != v1::PARENT_STATE_RUNNING || parent.lines[mode].empty()) continue;
        if (first == nullptr || *parent.lines[mode].begin() < *first->lines[mode].begin())
          first = &parent;
      }
      if (first == nullptr) break;
      const uint64_t next = Planted(Bug::kQueueOrderLost) ? *first->lines[mode].rbegin()
                                                          : *first->lines[mode].begin();
      Launch(now, Get(next), first, batch);
    }
  }
}

void Core::Launch(Instant now, CoreJob* job, ParentEntry* parent, Batch* batch) {
  Leave(job);
  job->parent = parent->key;
  job->holds_slot = true;
  ++running_[job->is_thread()];
  parent->live[job->is_thread()].insert(job->key);
  v1::Event& event = Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN);
  event.set_attempt(job->view.attempt() + 1);
  event.mutable_starting()->set_mode(job->mode);
  event.mutable_starting()->set_reason(job->reason);
  Emit(job, batch);
  job->boot_id = options_.boot_id;
  if (const Status cannot = CheckLimitsHere(job->view.spec(), options_.limits, options_.host))
    return FailUnsent(now, job, *cannot, batch);
  if (job->view.spec().durable()) {
    job->unsynced_start = job->last_cursor;
    unsynced_starts_.emplace_back(job->unsynced_start, job->key);
    batch->sync = true;
  } else {
    SendStart(*job, batch);
  }
  job->starting_ns = now.boot.ns;
  ArmTimeout(job);
}

void Core::SendStart(const CoreJob& job, Batch* batch) {
  StartJobEffect start;
  start.parent = job.parent;
  FillStartFrame(job, options_.host, options_.journal_id, &start.job);
  if (job.view.spec().output().ByteSizeLong() > 0) start.output = job.view.spec().output();
  PlanLimits(job.view.spec(), options_.limits, &start);
  batch->effects.push_back(std::move(start));
}

// What it asks for was to be had when it was received, and is not any more.
void Core::FailUnsent(Instant now, CoreJob* job, const Error& error, Batch* batch) {
  v1::FailedToStart* const failed =
      Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_failed_to_start();
  failed->set_step("limits");
  failed->set_message(error.message);
  Emit(job, batch);
  EndUnsent(now, job, batch);
}

void Core::ArmTimeout(CoreJob* job) {
  const int64_t timeout_ns = DurationNanos(job->view.spec().timeout());
  if (timeout_ns > 0) ArmTimer(job->starting_ns + timeout_ns, job, TimerKind::kTimeout);
}

}  // namespace brood
