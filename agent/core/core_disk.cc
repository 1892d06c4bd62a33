// SPDX-License-Identifier: Apache-2.0
//
// What the journal's disk has to do with jobs: durable ones wait for it, and all new ones where it
// is in trouble.
#include <utility>

#include "agent/core/core.h"

namespace brood {

void Core::OnSynced(uint64_t cursor, Batch* batch) {
  while (!unsynced_starts_.empty() && unsynced_starts_.front().first <= cursor) {
    const auto [start, job_key] = unsynced_starts_.front();
    unsynced_starts_.pop_front();
    CoreJob* const job = Live(job_key);
    // Ended, or started again in another life, since.
    if (job == nullptr || job->unsynced_start != start) continue;
    job->unsynced_start = 0;
    // To a life that has ended in between it is sent in vain, as any other start.
    SendStart(*job, batch);
  }
}

void Core::OnJournalTrouble(Instant now, Status trouble, Batch* batch) {
  trouble_ = std::move(trouble);
  if (trouble_) return;
  ParentEntry& parent = parents_.at(kDefaultParent);
  const bool waited_for = !parent.lines[0].empty() || !parent.lines[1].empty();
  if (parent.state == v1::PARENT_STATE_ENDED && waited_for && state_ != v1::HOST_STATE_STOPPING) {
    BeginParent(&parent, batch);
  }
  Dispatch(now, batch);
}

Error Core::NothingNew() const {
  Error error = *trouble_;
  error.message = "host '" + options_.host + "' takes nothing new now: " + error.message;
  return error;
}

}  // namespace brood
