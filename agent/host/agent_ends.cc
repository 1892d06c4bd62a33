// SPDX-License-Identifier: Apache-2.0
//
// The ends of parents and of orphans, and what is done with what they leave behind.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "agent/host/agent.h"
#include "agent/host/note_facts.h"

namespace brood {

void Agent::OnOrphanEnd(Instant at, OrphanFact fact) {
  fact.end_ns = at.boot.ns;
  std::vector<std::shared_ptr<ParentLink>> links;
  {
    const absl::MutexLock lock(&links_mutex_);
    for (const auto& entry : links_) links.push_back(entry.second);
  }
  for (const auto& link : links) {
    // Its parent may have noted its start just before the end, or have died before it could: then
    // its own slot tells.
    link->ReadNotes();
    const std::optional<ParentLink::Start> found = link->FindStart(fact);
    if (!found) continue;
    sequencer_->Step([&](Core& core, Instant, Batch* batch) {
      const auto parent = core.parents().find(link->key().name);
      const bool same = parent != core.parents().end() && parent->second.key == link->key();
      TellUnnotedStart(at, link->key(), same ? parent->second.unit.pid() : 0, *found, &core, batch);
    });
    const uint64_t job_key = found->start.job_key;
    if (MayBeOutOfMemory(fact.status))
      fact.status.memory_limit_hit = limit_groups_->WasOutOfMemory(job_key);
    link->watch()->TakeWritesOf(job_key);
    ParentLink::CallFacts call = link->ReadCall(job_key, found->slot);
    fact.result = std::move(call.result);
    fact.progress = std::move(call.progress);
    break;
  }
  sequencer_->Step(
      [&](Core& core, Instant, Batch* batch) { core.OnOrphanExited(at, fact, batch); });
}

void Agent::TellUnnotedStarts(Instant at, const ParentKey& ended, int32_t ppid,
                              const std::vector<StartSlot>& starts, Core* core, Batch* batch) {
  for (uint32_t slot = 0; slot < starts.size(); ++slot)
    TellUnnotedStart(at, ended, ppid, ParentLink::Start{slot, starts[slot]}, core, batch);
}

void Agent::TellUnnotedStart(Instant at, const ParentKey& ended, int32_t ppid,
                             const ParentLink::Start& noted, Core* core, Batch* batch) {
  auto start = StartOfSlot(noted.start, noted.slot);
  const CoreJob* const job = core->Find(noted.start.job_key);
  if (!start || job == nullptr || job->parent != ended || job->is_thread()) return;
  if (auto* const started = std::get_if<StartedFact>(&*start)) {
    started->ppid = ppid;
    core->OnStarted(at, *started, batch);
  } else {
    core->OnFailedToStart(at, std::get<FailedFact>(*start), batch);
  }
}

void Agent::OnParentEnd(Instant at, const ParentKey& key, const WaitStatus& status,
                        v1::Observer observer) {
  const std::shared_ptr<ParentLink> link = Link(key);
  ParentEndFact fact;
  fact.status = status;
  fact.observer = observer;
  if (link != nullptr) {
    link->ReadNotes();  // What it noted before it ended.
    link->watch()->TakeAll();
    fact.culprit_job_key = link->CulpritJobKey();
  }
  EndLife(at, key, fact);
}

void Agent::EndLife(Instant at, const ParentKey& key, const ParentEndFact& fact) {
  int32_t pid = 0;
  const bool lived = sequencer_->Look([&](const Core& core) {
    const auto parent = core.parents().find(key.name);
    if (parent == core.parents().end() || parent->second.key != key) return false;
    pid = parent->second.unit.pid();
    return parent->second.state != v1::PARENT_STATE_ENDED;
  });
  if (!lived) return;
  const std::shared_ptr<ParentLink> link = Link(key);
  if (link != nullptr) {
    // Jobs it was sent and did not note: their slots tell whether they ran.
    const std::vector<StartSlot> starts = link->TakeStarts();
    sequencer_->Step([&](Core& core, Instant, Batch* batch) {
      TellUnnotedStarts(at, key, pid, starts, &core, batch);
    });
    if (!link->has_streams()) ReopenStreams(key, starts);
  }
  bool empty = false;
  sequencer_->Step([&](Core& core, Instant, Batch* batch) {
    core.OnParentEnded(at, key, fact, batch);
    empty = core.parents().at(key.name).live[0].empty();
  });
  // Those of its jobs that go on: is there somebody who will tell of their ends?
  loop_->Post([this] { CheckOrphans(); });
  ::unlink(ParentSocket(key).c_str());
  // Else its forked calls still write their results there, see ForgetLifeOf.
  if (empty) ForgetLife(key);
}

void Agent::ForgetLife(const ParentKey& key) {
  std::shared_ptr<ParentLink> link;
  {
    const absl::MutexLock lock(&links_mutex_);
    const auto found = links_.find(key);
    if (found != links_.end()) {
      link = std::move(found->second);
      links_.erase(found);
    }
  }
  // A committer in another thread may hold it for longer.
  if (link != nullptr) link->Shut();
  // Once the journal has what its notes said: should this agent die first, the next reads them.
  spent_folders_.push_back(ParentDirectory(key));
}

// A parent that has ended is forgotten with the last of its forks.
void Agent::ForgetLifeOf(uint64_t ended_job) {
  ParentKey key;
  const bool over = sequencer_->Look([&](const Core& core) {
    const CoreJob* const job = core.Find(ended_job);
    if (job == nullptr || job->is_thread()) return false;
    key = job->parent;
    const auto parent = core.parents().find(key.name);
    if (parent == core.parents().end()) return false;
    if (parent->second.key == key && parent->second.state != v1::PARENT_STATE_ENDED) return false;
    const std::set<uint64_t>& live = parent->second.live[0];
    return std::none_of(live.begin(), live.end(), [&](uint64_t other) {
      const CoreJob* const one = core.Find(other);
      return one != nullptr && !one->ended && one->parent == key;
    });
  });
  if (over && Link(key) != nullptr) ForgetLife(key);
}

}  // namespace brood
