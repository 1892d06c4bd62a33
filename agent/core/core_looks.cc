// SPDX-License-Identifier: Apache-2.0
//
// What was seen of a job's process while it lived.
#include "agent/core/core.h"
#include "agent/core/proto_time.h"

namespace brood {

void Core::OnDescendant(Instant now, uint64_t job_key, const v1::Unit& unit, bool exited,
                        Batch* batch) {
  CoreJob* const job = Live(job_key);
  if (job == nullptr || !job->started()) return;
  v1::Event& event = Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN);
  if (exited) {
    *event.mutable_descendant_exited()->mutable_descendant() = unit;
  } else {
    *event.mutable_descendant_seen()->mutable_descendant() = unit;
  }
  Emit(job, batch);
}

void Core::OnMemoryPages(Instant now, uint64_t job_key, const v1::MemoryPages& pages,
                         Batch* batch) {
  CoreJob* const job = Live(job_key);
  if (job == nullptr || !job->started() || job->is_thread()) return;
  *Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_memory_pages() = pages;
  Emit(job, batch);
}

void Core::OnStuckSuspected(Instant now, const StuckFact& fact, Batch* batch) {
  CoreJob* const job = Live(fact.job_key);
  if (job == nullptr || !job->started() || job->is_thread() || job->stuck_said) return;
  job->stuck_said = true;
  v1::StuckSuspected* const stuck =
      Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_INFERRED).mutable_stuck_suspected();
  stuck->set_futex_address(fact.futex_address);
  SetDuration(fact.waited_ns, stuck->mutable_waited());
  stuck->set_threads_at_fork(job->threads_at_fork);
  // Any number can stand there: an owner is one that was a thread of the parent at the fork.
  for (const v1::Hazard& hazard : job->hazards) {
    if (fact.owner_tid == 0 || hazard.tid() != fact.owner_tid) continue;
    stuck->set_owner_tid(fact.owner_tid);
    if (!hazard.job_id().empty()) stuck->set_owner_job_id(hazard.job_id());
  }
  Emit(job, batch);
}

void Core::OnStillStuck(uint64_t job_key, Batch* batch) {
  CoreJob* const job = Live(job_key);
  if (job == nullptr || !job->stuck_said || job->cause != v1::END_CAUSE_UNSPECIFIED) return;
  job->cause = v1::END_CAUSE_INHERITED_LOCK;
  batch->effects.push_back(
      TreeEffect{job->key, job->view.job_id(), job->view.pid(), job->start_ns, true});
  job->awaits_tree = true;
}

}  // namespace brood
