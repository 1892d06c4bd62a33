// SPDX-License-Identifier: Apache-2.0
//
// What is found: lives of parents that an earlier agent had started, their jobs' streams, and
// processes for which nobody waits.
#include "agent/host/lives.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "agent/core/proto_time.h"

namespace brood {

std::shared_ptr<Life> Lives::Adopt(const ParentKey& key) {
  std::shared_ptr<Life> life = host_->OpenLife(key);
  life->ReadNotes();
  // The notes of starts that the journal has are gone, and no event says which slot a job has.
  const std::vector<StartSlot> starts = life->ReadStarts();
  host_->StepCore([&](Core& core, Instant, Batch*) {
    for (uint32_t slot = 0; slot < starts.size(); ++slot) {
      if (starts[slot].claim != kRevoked)
        core.OnSlot(key, starts[slot].job_key, starts[slot].attempt, slot);
    }
  });
  return life;
}

// Lives that the journal knows to have ended, and that have jobs which go on: their streams, and
// the slots in which forked calls return their values.
void Lives::AdoptEnded() {
  std::set<ParentKey> ended;
  host_->LookAtCore([&](const Core& core) {
    for (const auto& [job_key, job] : core.jobs()) {
      if (job->output_closed || !job->started() || !core.IsOver(job->parent)) continue;
      if (!job->is_thread()) {
        ended.insert(job->parent);
      } else if (!host_->WritesItsFiles(job_key)) {
        // It ended with it, and nobody has its pipes: it has neither streams nor a slot to be
        // found.
        maybe_cut_.insert(job_key);
      }
    }
  });
  for (const ParentKey& key : ended) {
    const std::vector<StartSlot> starts = TakeStarts(Adopt(key).get());
    // All are known to have started; in which slot is not.
    TellUnnotedStarts(host_->Now(), key, 0, starts);
    ReopenStreams(key, starts);
  }
}

std::vector<ParentKey> Lives::AdoptFound() {
  bool after_boot = false;
  host_->LookAtCore([&](const Core& core) { after_boot = core.IsAfterBoot(); });
  if (after_boot || host_->HoldsOtherBoot()) {
    // Before it is in the journal that the boot is over: the next agent would believe the notes.
    host_->DropOtherBoot();
    return {};
  }
  AdoptEnded();
  // Lives that the journal does not know to have ended: their notes come first,
  // the supervisor's word on ends and orphans after.
  std::vector<ParentKey> open;
  host_->LookAtCore([&](const Core& core) {
    for (const auto& entry : core.parents()) {
      if (entry.second.state != v1::PARENT_STATE_ENDED) open.push_back(entry.second.key);
    }
  });
  std::vector<ParentKey> named;
  for (const ParentKey& key : open) {
    Adopt(key);
    if (key.name != kDefaultParent) named.push_back(key);
    host_->Later([this, key] {
      if (IsAlive(key)) host_->ConnectLife(key);
    });
  }
  host_->ReadOlderSupervisorNotes();
  host_->ReadSupervisorNotes();
  // What is not among the notes nobody saw.
  host_->Later([this] {
    CheckParents();
    CheckOrphans();
  });
  return named;
}

bool Lives::IsAlive(const ParentKey& key) const {
  v1::Unit unit;
  host_->LookAtCore([&](const Core& core) {
    const auto parent = core.parents().find(key.name);
    if (parent != core.parents().end() && parent->second.key == key &&
        parent->second.state != v1::PARENT_STATE_ENDED) {
      unit = parent->second.unit;
    }
  });
  return unit.has_pid() && host_->FindParentOf(unit.pid(), DurationNanos(unit.start())).has_value();
}

// Nobody has the pipes of its jobs: the parent that had ended, and the agent that read them, are
// gone. The jobs that live still hold them.
void Lives::ReopenStreams(const ParentKey& ended, const std::vector<StartSlot>& starts) {
  struct Job {
    uint64_t key;
    int32_t pid;
    int64_t start_ns;
    bool is_thread;
  };
  std::vector<Job> jobs;
  host_->LookAtCore([&](const Core& core) {
    for (const auto& [job_key, job] : core.jobs()) {
      if (job->parent == ended && job->started() && !job->output_closed)
        jobs.push_back(Job{job_key, job->view.pid(), job->start_ns, job->is_thread()});
    }
  });
  for (const Job& job : jobs) {
    if (host_->WritesItsFiles(job.key)) continue;
    const auto start = std::find_if(starts.begin(), starts.end(), [&job](const StartSlot& slot) {
      return slot.job_key == job.key && slot.claim != kRevoked;
    });
    const bool reopened = !job.is_thread && start != starts.end() &&
                          host_->FindParentOf(job.pid, job.start_ns) &&
                          host_->ReopenStreams(job.key, job.pid, *start);
    if (!reopened) maybe_cut_.insert(job.key);
  }
}

// Parents and jobs go on. The agent waits for them.
void Lives::OnSupervisorReplaced() {
  host_->ReadOlderSupervisorNotes();
  host_->StepCore([](Core& core, Instant, Batch* batch) { core.OnSupervisorChanged(batch); });
  CheckParents();
  CheckOrphans();
}

// Parents of which the supervisor will not tell: watched, if they live.
void Lives::CheckParents() {
  struct Found {
    ParentKey key;
    int32_t pid;
    int64_t start_ns;
  };
  std::vector<Found> lives;
  host_->LookAtCore([&](const Core& core) {
    for (const auto& [name, parent] : core.parents()) {
      if (parent.state == v1::PARENT_STATE_ENDED || !parent.unit.has_pid()) continue;
      lives.push_back(Found{parent.key, parent.unit.pid(), DurationNanos(parent.unit.start())});
    }
  });
  for (const Found& life : lives) {
    const std::optional<int32_t> parent_pid = host_->FindParentOf(life.pid, life.start_ns);
    if (parent_pid && IsOurs(*parent_pid)) continue;
    const ParentKey key = life.key;
    const bool watched =
        host_->WatchStranger(life.pid, life.start_ns, [this, key](const WaitStatus& status) {
          OnParentEnd(host_->Now(), key, status, v1::OBSERVER_AGENT);
        });
    if (watched) continue;
    // It may have been waited for by now, and noted.
    host_->ReadSupervisorNotes();
    OnParentEnd(host_->Now(), key, WaitStatus(), v1::OBSERVER_AGENT);
  }
}

// Jobs whose parent has ended, and that have not.
std::vector<OrphanFact> Lives::ListOrphans() const {
  std::vector<OrphanFact> orphans;
  host_->LookAtCore([&](const Core& core) {
    for (const auto& [job_key, job] : core.jobs()) {
      if (job->ended || !job->started() || job->is_thread() || !core.IsOver(job->parent)) continue;
      OrphanFact& orphan = orphans.emplace_back();
      orphan.job_key = job_key;
      orphan.pid = job->view.pid();
      orphan.start_ns = job->start_ns;
    }
  });
  return orphans;
}

// Of those, the ones of which the supervisor will not tell.
void Lives::CheckOrphans() {
  std::vector<OrphanFact> gone;
  for (const OrphanFact& orphan : ListOrphans()) {
    const std::optional<int32_t> parent_pid = host_->FindParentOf(orphan.pid, orphan.start_ns);
    if (parent_pid && IsOurs(*parent_pid)) continue;
    const bool watched =
        parent_pid &&
        host_->WatchStranger(orphan.pid, orphan.start_ns, [this, orphan](const WaitStatus& status) {
          OrphanFact ended = orphan;
          ended.status = status;
          OnOrphanEnd(host_->Now(), ended);
        });
    if (!watched) gone.push_back(orphan);
  }
  if (gone.empty()) return;
  // A supervisor notes before it lets the process go.
  host_->ReadSupervisorNotes();
  const std::vector<OrphanFact> orphans = ListOrphans();
  for (const OrphanFact& orphan : gone) {
    const bool untold = std::any_of(orphans.begin(), orphans.end(), [&](const OrphanFact& other) {
      return other.pid == orphan.pid && other.start_ns == orphan.start_ns;
    });
    if (untold) OnOrphanEnd(host_->Now(), orphan);
  }
}

// The kernel gave them away before anybody could wait for their parent. A few microseconds each.
void Lives::FindAdopters(const std::vector<AdopterEffect>& orphans) {
  for (const AdopterEffect& orphan : orphans) {
    const std::optional<int32_t> parent_pid = host_->FindParentOf(orphan.pid, orphan.start_ns);
    if (!parent_pid) continue;
    const ReparentedFact fact{orphan.job_key, *parent_pid, host_->NameOf(*parent_pid),
                              v1::OBSERVER_AGENT};
    host_->StepCore(
        [&](Core& core, Instant now, Batch* batch) { core.OnReparented(now, fact, batch); });
  }
}

}  // namespace brood
