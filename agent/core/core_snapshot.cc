// SPDX-License-Identifier: Apache-2.0
//
// The core's state as a replay builds it, so that the next agent need not replay all. A field that
// Replay sets and this file forgets is found by CoreSnapshotTest.
#include <utility>

#include "agent/core/core.h"
#include "agent/core/proto_time.h"

namespace brood {

void FillJobState(const CoreJob& job, internal::v1::JobState* state) {
  state->set_key(job.key);
  *state->mutable_view() = job.view;
  state->set_digest(job.digest);
  state->set_seq(job.seq);
  state->set_first_cursor(job.first_cursor);
  state->set_last_cursor(job.last_cursor);
  state->set_mode(job.mode);
  state->set_parent(job.parent.name);
  state->set_parent_incarnation(job.parent.incarnation);
  state->set_starting_ns(job.starting_ns);
  state->set_start_ns(job.start_ns);
  if (!job.is_thread()) state->set_pgid(job.pgid);
  state->set_queued_said(job.queued_said);
  state->set_reparented(job.reparented);
  state->set_stuck_said(job.stuck_said);
  state->set_threads_at_fork(job.threads_at_fork);
  for (const v1::Hazard& hazard : job.hazards) *state->add_hazards() = hazard;
  state->set_progress_ns(job.progress_ns);
  state->set_ended(job.ended);
  state->set_output_closed(job.output_closed);
  // Of the other causes there is no event before the end's: the next agent finds them anew.
  if (job.cause == v1::END_CAUSE_CANCELLED || job.cause == v1::END_CAUSE_TIMED_OUT ||
      job.cause == v1::END_CAUSE_OUTPUT_LIMIT) {
    state->set_cause(job.cause);
  }
  state->set_kill_grace_ns(job.kill_grace_ns);
  state->set_boot_id(job.boot_id);
}

internal::v1::CoreState Core::State() const {
  internal::v1::CoreState state;
  state.set_next_cursor(next_cursor_);
  state.set_next_key(next_key_);
  for (const auto& [name, parent] : parents_) {
    if (parent.told.seq() != 0) *state.add_parents() = parent.told;
  }
  for (const std::string& library : crashed_libraries_) state.add_crashed_libraries(library);
  for (const uint64_t job_key : ended_) state.add_ended_keys(job_key);
  state.set_known_ids(ids_.total());
  state.set_last_boot_id(has_emitted_ ? options_.boot_id : last_boot_);
  return state;
}

void Core::RestoreJob(const internal::v1::JobState& state) {
  auto job = std::make_unique<CoreJob>();
  job->key = state.key();
  job->replayed = true;
  job->view = state.view();
  job->digest = state.digest();
  job->seq = state.seq();
  job->first_cursor = state.first_cursor();
  job->last_cursor = state.last_cursor();
  job->mode = state.mode();
  job->parent = ParentKey{state.parent(), state.parent_incarnation()};
  job->starting_ns = state.starting_ns();
  job->start_ns = state.start_ns();
  job->pgid = state.pgid();
  job->queued_said = state.queued_said();
  job->reparented = state.reparented();
  job->stuck_said = state.stuck_said();
  job->threads_at_fork = state.threads_at_fork();
  job->hazards = {state.hazards().begin(), state.hazards().end()};
  job->progress_ns = state.progress_ns();
  job->ended = state.ended();
  job->output_closed = state.output_closed();
  job->cause = state.cause();
  job->kill_grace_ns = state.kill_grace_ns();
  job->boot_id = state.boot_id();
  keys_[job->view.job_id()] = job->key;
  jobs_[job->key] = std::move(job);
}

void Core::Restore(const internal::v1::CoreState& state, const std::vector<KnownId>& ids) {
  next_cursor_ = state.next_cursor();
  next_key_ = state.next_key();
  last_boot_ = state.last_boot_id();
  for (const internal::v1::ParentLife& told : state.parents()) {
    ParentEntry& parent = parents_[told.name()];
    parent.told = told;
    TakeUp(&parent);
  }
  crashed_libraries_ = {state.crashed_libraries().begin(), state.crashed_libraries().end()};
  for (const uint64_t job_key : state.ended_keys()) {
    if (Find(job_key) != nullptr) ended_.push_back(job_key);
  }
  for (const auto& [job_key, job] : jobs_) CountOutput(job.get());
  for (const uint64_t job_key : ended_) {
    const CoreJob* const job = Find(job_key);
    if (job->output_closed && job->output_counted > 0) closed_outputs_.push_back(job_key);
  }
  ids_.StartAt(state.known_ids() - ids.size());
  for (const KnownId& id : ids) ids_.Add(id, false);
}

void Core::FoldParentEvent(const v1::Event& event, internal::v1::ParentLife* told) {
  if (event.incarnations().parent() < told->incarnation()) return;
  told->set_name(event.unit().parent());
  told->set_incarnation(event.incarnations().parent());
  told->set_seq(event.seq());
  *told->mutable_unit() = event.unit();
  if (event.has_parent_started()) {
    told->set_state(v1::PARENT_STATE_STARTING);
    told->set_start_wall_ns(event.wall().seconds() * kNanosPerSecond + event.wall().nanos());
    told->set_asked_end(v1::PARENT_END_UNSPECIFIED);
    told->set_boot_id(event.boot_id());
    told->set_ending_said(false);
  } else if (event.has_parent_ending()) {
    told->set_state(v1::PARENT_STATE_ENDING);
    told->set_asked_end(event.parent_ending().how());
    told->set_ending_said(true);
  } else if (event.has_parent_ended()) {
    told->set_state(v1::PARENT_STATE_ENDED);
  }
}

void Core::TakeUp(ParentEntry* parent) const {
  const internal::v1::ParentLife& told = parent->told;
  parent->key = ParentKey{told.name(), told.incarnation()};
  parent->state =
      told.state() == v1::PARENT_STATE_UNSPECIFIED ? v1::PARENT_STATE_ENDED : told.state();
  parent->unit = told.unit();
  parent->start_wall_ns = told.start_wall_ns();
  parent->seq = told.seq();
  parent->asked_end = told.asked_end();
  parent->of_other_boot = !told.boot_id().empty() && told.boot_id() != options_.boot_id;
  parent->ending_said = told.ending_said();
}

}  // namespace brood
