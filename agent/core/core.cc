// SPDX-License-Identifier: Apache-2.0
#include "agent/core/core.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "agent/core/proto_time.h"
#include "common/base/planted_bug.h"
#include "common/job/job_fold.h"

namespace brood {

Core::Core(CoreOptions options) : options_(std::move(options)) {
  parents_[kDefaultParent].key.name = kDefaultParent;
}

const CoreJob* Core::Find(const std::string& job_id) const {
  const auto found = keys_.find(job_id);
  return found == keys_.end() ? nullptr : Find(found->second);
}

const CoreJob* Core::Find(uint64_t job_key) const {
  const auto found = jobs_.find(job_key);
  return found == jobs_.end() ? nullptr : found->second.get();
}

CoreJob* Core::Get(uint64_t job_key) {
  const auto found = jobs_.find(job_key);
  return found == jobs_.end() ? nullptr : found->second.get();
}

CoreJob* Core::Live(uint64_t job_key) {
  CoreJob* const job = Get(job_key);
  return job != nullptr && (!job->ended || Planted(Bug::kEndToldTwice)) ? job : nullptr;
}

ParentEntry* Core::Current(const ParentKey& parent) {
  const auto found = parents_.find(parent.name);
  if (found == parents_.end() || found->second.key != parent) return nullptr;
  return &found->second;
}

v1::Event& Core::Begin(Instant at, const CoreJob* job, v1::Observer observer,
                       v1::Evidence evidence) {
  v1::Event& event = scratch_;
  event.Clear();
  event.set_host(options_.host);
  event.set_boot_id(options_.boot_id);
  event.mutable_incarnations()->set_agent(options_.agent_incarnation);
  SetDuration(at.boot.ns, event.mutable_mono());
  SetTimestamp(at.wall.ns, event.mutable_wall());
  event.set_observer(observer);
  event.set_evidence(evidence);
  if (job == nullptr) return event;
  event.set_job_id(job->view.job_id());
  event.set_run_id(job->view.spec().run_id());
  event.set_attempt(job->view.attempt());
  event.mutable_incarnations()->set_parent(job->parent.incarnation);
  v1::Unit* const unit = event.mutable_unit();
  unit->set_mode(job->mode);
  unit->set_parent(job->parent.name);
  if (job->started()) {
    unit->set_pid(job->view.pid());
    unit->set_tid(job->view.tid());
    unit->set_ppid(job->view.ppid());
    if (!job->is_thread()) unit->set_pgid(job->pgid);
    SetDuration(job->start_ns, unit->mutable_start());
  }
  return event;
}

void Core::Emit(CoreJob* job, Batch* batch) {
  v1::Event& event = scratch_;
  event.set_seq(++job->seq);
  event.set_cursor(next_cursor_++);
  has_emitted_ = true;
  if (job->first_cursor == 0) job->first_cursor = event.cursor();
  job->last_cursor = event.cursor();
  FoldEvent(event, &job->view);
  batch->records.push_back(JournalRecord{event.cursor(), job->key, event.SerializeAsString()});
}

void Core::EmitParent(ParentEntry* parent, Batch* batch) {
  v1::Event& event = scratch_;
  event.set_seq(++parent->seq);
  event.set_cursor(next_cursor_++);
  has_emitted_ = true;
  event.mutable_incarnations()->set_parent(parent->key.incarnation);
  *event.mutable_unit() = parent->unit;
  event.mutable_unit()->set_parent(parent->key.name);
  FoldParentEvent(event, &parent->told);
  batch->records.push_back(JournalRecord{event.cursor(), 0, event.SerializeAsString()});
}

void Core::ArmTimer(int64_t when, CoreJob* job, TimerKind kind) {
  // A time past the clock's end is never: 292 years.
  timers_.emplace(when, Timer{job->key, kind});
  (kind == TimerKind::kTimeout ? job->timeout_at : job->kill_at) = when;
}

void Core::DisarmTimers(CoreJob* job) {
  for (int64_t* const at : {&job->timeout_at, &job->kill_at}) {
    if (*at == 0) continue;
    const auto range = timers_.equal_range(*at);
    for (auto timer = range.first; timer != range.second;) {
      timer = timer->second.job_key == job->key ? timers_.erase(timer) : std::next(timer);
    }
    *at = 0;
  }
}

void Core::EndJob(Instant now, CoreJob* job, Batch* batch) {
  job->ended = true;
  job->unsynced_start = 0;
  DisarmTimers(job);
  if (job->holds_slot) {
    job->holds_slot = false;
    --running_[job->is_thread()];
  }
  // Also where the next life of its parent has begun.
  const auto parent = parents_.find(job->parent.name);
  if (parent != parents_.end()) parent->second.live[job->is_thread()].erase(job->key);
  SpendEnvironment(job, batch);
  job->arguments.clear();
  if (Planted(Bug::kCleanedTooEarly)) CleanIfDone(now, job, batch);
  ended_.push_back(job->key);
  if (!job->output_closed) {
    // Of a parent that an earlier agent had started, the streams are here once it is ready.
    const ParentEntry* const current = Current(job->parent);
    const bool awaited = job->replayed && current != nullptr && !current->answers &&
                         current->state != v1::PARENT_STATE_ENDED;
    (awaited ? unclosed_ : just_ended_).push_back(job->key);
  }
  if (const std::optional<uint64_t> forgotten = ForgetOldest())
    batch->effects.push_back(ForgetJobEffect{*forgotten});
  Dispatch(now, batch);
}

void Core::SpendEnvironment(CoreJob* job, Batch* batch) {
  job->environment.Clear();
  if (std::exchange(job->keeps_environment, false)) batch->spent_environments.push_back(job->key);
}

std::optional<uint64_t> Core::ForgetOldest() {
  if (ended_.size() <= options_.ended_jobs_kept) return std::nullopt;
  // Only what is done with: a job that still drains output keeps the place of the next.
  const auto done = std::find_if(ended_.begin(), ended_.end(),
                                 [this](uint64_t key) { return Get(key)->view.cleaned(); });
  if (done == ended_.end()) return std::nullopt;
  const uint64_t key = *done;
  const CoreJob& old = *Get(key);
  // Most jobs print nothing, and have no file to remove. What an earlier agent kept and did not
  // live to say is not in the count.
  const bool has_files = old.replayed || old.view.spec().has_output() ||
                         old.view.stdout_bytes() + old.view.stderr_bytes() > 0;
  if (old.output_counted > 0) {
    output_kept_ -= old.output_counted;
    // Found near the front: outputs close in nearly the order in which jobs end.
    closed_outputs_.erase(std::find(closed_outputs_.begin(), closed_outputs_.end(), old.key));
  }
  KnownId id;
  id.hash = HashOfJobId(old.view.job_id());
  id.first_cursor = old.first_cursor;
  id.job_key = key & ((uint64_t{1} << 56) - 1);
  id.outcome = static_cast<uint8_t>(old.view.outcome());
  id.digest = old.digest;
  ids_.Add(id, true);
  ended_.erase(done);
  keys_.erase(old.view.job_id());
  jobs_.erase(key);
  return has_files ? std::optional<uint64_t>(key) : std::nullopt;
}

void Core::CloseOutput(Instant now, CoreJob* job, const v1::OutputClosed& closed, Batch* batch) {
  if (job->output_closed) return;
  // What was kept before it was known to have started, or while no agent lived.
  if (job->ended) TellOutput(now, job, batch);
  job->output_closed = true;
  v1::OutputClosed told = closed;
  // A loss of power may have taken bytes that were told of.
  if (told.stdout_bytes() < job->view.stdout_bytes() ||
      told.stderr_bytes() < job->view.stderr_bytes()) {
    told.set_stdout_bytes(std::max(told.stdout_bytes(), job->view.stdout_bytes()));
    told.set_stderr_bytes(std::max(told.stderr_bytes(), job->view.stderr_bytes()));
    told.set_may_be_cut(true);
  }
  *Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_output_closed() = told;
  Emit(job, batch);
  CountOutput(job);
  if (job->output_counted > 0) closed_outputs_.push_back(job->key);
  FreeOutputs(batch);
  // The start slot and the read ends are free again.
  if (Current(job->parent) != nullptr)
    batch->effects.push_back(DrainedEffect{job->parent, job->key});
}

void Core::CleanIfDone(Instant now, CoreJob* job, Batch* batch) {
  const bool closed = job->output_closed || Planted(Bug::kCleanedTooEarly);
  if (!job->ended || !closed || job->awaits_tree || job->view.cleaned()) return;
  if (!job->survivors.empty()) {
    v1::Survivors* const event =
        Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_survivors();
    event->set_total(static_cast<uint32_t>(job->survivors.size()));
    for (const v1::Unit& unit : job->survivors) {
      if (event->units_size() < kSurvivorsNamed) *event->add_units() = unit;
    }
    Emit(job, batch);
    job->survivors.clear();
  }
  Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_cleaned();
  Emit(job, batch);
}

void Core::OnTime(Instant now, Batch* batch) {
  while (!timers_.empty() && timers_.begin()->first <= now.boot.ns) {
    const Timer timer = timers_.begin()->second;
    timers_.erase(timers_.begin());
    CoreJob* const job = Live(timer.job_key);
    if (job == nullptr) continue;
    if (timer.kind == TimerKind::kTimeout) {
      job->timeout_at = 0;
      job->cause = v1::END_CAUSE_TIMED_OUT;
      *Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_timed_out()->mutable_limit() =
          job->view.spec().timeout();
      Emit(job, batch);
      Stop(now, job, batch);
      continue;
    }
    job->kill_at = 0;
    if (!job->is_thread()) {
      batch->effects.push_back(
          TreeEffect{job->key, job->view.job_id(), job->view.pid(), job->start_ns, true});
      job->awaits_tree = true;
      continue;
    }
    // Nothing more can be done to a thread than to say so; one that has not started is asked when
    // it does.
    if (job->pending_said || !job->started()) continue;
    job->pending_said = true;
    SetDuration(job->kill_grace_ns, Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_INFERRED)
                                        .mutable_cancel_pending()
                                        ->mutable_waited());
    Emit(job, batch);
  }
}

void Core::ViewHost(v1::Host* host) const {
  host->set_name(options_.host);
  host->set_state(state_);
  host->set_agent_incarnation(options_.agent_incarnation);
  host->set_boot_id(options_.boot_id);
  host->set_process_slots(options_.process_slots);
  host->set_thread_slots(options_.thread_slots);
  host->set_queue_limit(options_.queue_limit);
  host->set_default_mode(options_.default_mode);
  host->set_processes(running_[0]);
  host->set_threads(running_[1]);
  host->set_queued(queued_);
  host->set_journal_head(next_cursor_ - 1);
  if (trouble_) host->set_journal_problem(trouble_->message);
  host->set_limit_controllers(options_.limits.controllers);
  for (const std::string_view name : LimitNamesHere(options_.limits))
    host->add_limits(std::string(name));
}

}  // namespace brood
