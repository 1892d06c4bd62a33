// SPDX-License-Identifier: Apache-2.0
//
// What ends: lives of parents and their orphans.
#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "agent/core/proto_time.h"
#include "agent/host/lives.h"
#include "agent/host/note_facts.h"
#include "common/base/failpoint.h"
#include "common/base/process_life.h"

namespace brood {

std::optional<SlotStart> FindStart(const Life& life, const OrphanFact& process) {
  const std::vector<StartSlot> starts = life.ReadStarts();
  std::optional<SlotStart> found;
  for (uint32_t slot = 0; slot < starts.size(); ++slot) {
    const StartSlot& start = starts[slot];
    if (start.claim != kClaimedByChild || start.pid != process.pid) continue;
    const bool same = process.job_key != 0
                          ? start.job_key == process.job_key
                          : LivedAt(process.start_ns, process.end_ns, start.start_ns);
    if (!same) continue;
    if (!found || start.start_ns < found->start.start_ns) found = SlotStart{slot, start};
  }
  return found;
}

void Lives::OnSupervisorNote(const Note& note, const std::string& text) {
  const Instant at{BootTime{note.boot_ns}, WallTime{note.wall_ns}};
  const ParentKey key{text, note.job_key};
  switch (note.kind) {
    case NoteKind::kParentStarted: {
      v1::Unit unit;
      unit.set_mode(v1::MODE_FORK);
      unit.set_pid(note.pid);
      unit.set_tid(note.pid);
      unit.set_ppid(note.ppid);
      SetDuration(note.start_ns, unit.mutable_start());
      host_->StepCore(
          [&](Core& core, Instant, Batch* batch) { core.OnParentStarted(at, key, unit, batch); });
      if (IsAlive(key) && host_->FindLife(key) == nullptr) Adopt(key);
      host_->ConnectLife(key);
      return;
    }
    case NoteKind::kParentEnded:
      return OnParentEnd(at, key, StatusOfNote(note), v1::OBSERVER_SUPERVISOR);
    case NoteKind::kOrphanExited: {
      OrphanFact fact;
      fact.pid = note.pid;
      fact.start_ns = note.start_ns;
      fact.status = StatusOfNote(note);
      fact.waiter_pid = note.ppid;
      fact.waiter = host_->NameOf(note.ppid);
      return OnOrphanEnd(at, fact);
    }
    default:
      return;
  }
}

void Lives::OnOrphanEnd(Instant at, OrphanFact fact) {
  fact.end_ns = at.boot.ns;
  std::shared_ptr<Life> parent;
  std::optional<SlotStart> found;
  for (const auto& life : host_->ListLives()) {
    // Its parent may have noted its start just before the end, or have died before it could: then
    // its own slot tells.
    life->ReadNotes();
    const std::optional<SlotStart> one = FindStart(*life, fact);
    if (!one || (found && found->start.start_ns <= one->start.start_ns)) continue;
    parent = life;
    found = one;
  }
  if (found) {
    const ParentKey& key = parent->key();
    host_->StepCore([&](Core& core, Instant, Batch* batch) {
      const auto entry = core.parents().find(key.name);
      const bool same = entry != core.parents().end() && entry->second.key == key;
      TellUnnotedStart(at, key, same ? entry->second.unit.pid() : 0, *found, &core, batch);
    });
    if (MayBeOutOfMemory(fact.status))
      fact.status.memory_limit_hit = parent->WasOutOfMemory(found->start.job_key);
    parent->TakeWritesOf(found->start.job_key);
    CallFacts call = parent->ReadCall(found->start.job_key, found->slot);
    fact.result = std::move(call.result);
    fact.progress = std::move(call.progress);
  }
  host_->StepCore([&](Core& core, Instant, Batch* batch) { core.OnOrphanExited(at, fact, batch); });
}

std::vector<StartSlot> Lives::TakeStarts(Life* life) const {
  std::set<uint64_t> started;
  host_->LookAtCore([&](const Core& core) {
    for (const auto& [job_key, job] : core.jobs()) {
      if (job->parent == life->key() && job->started()) started.insert(job_key);
    }
  });
  return life->TakeStarts([&](uint64_t job_key) { return started.count(job_key) > 0; });
}

// Jobs it was sent and did not note: their slots tell whether they ran.
void Lives::TellUnnotedStarts(Instant at, const ParentKey& ended, int32_t ppid,
                              const std::vector<StartSlot>& starts) {
  host_->StepCore([&](Core& core, Instant, Batch* batch) {
    for (uint32_t slot = 0; slot < starts.size(); ++slot)
      TellUnnotedStart(at, ended, ppid, SlotStart{slot, starts[slot]}, &core, batch);
  });
}

void Lives::TellUnnotedStart(Instant at, const ParentKey& ended, int32_t ppid,
                             const SlotStart& noted, Core* core, Batch* batch) {
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

void Lives::OnParentEnd(Instant at, const ParentKey& key, const WaitStatus& status,
                        v1::Observer observer) {
  ParentEndFact fact;
  fact.status = status;
  fact.observer = observer;
  if (const std::shared_ptr<Life> life = host_->FindLife(key)) {
    life->ReadNotes();  // What it noted before it ended.
    life->TakeAllWrites();
    fact.culprit_job_key = life->CulpritJobKey();
  }
  EndLife(at, key, fact);
}

void Lives::EndLife(Instant at, const ParentKey& key, const ParentEndFact& fact) {
  int32_t pid = 0;
  bool lived = false;
  host_->LookAtCore([&](const Core& core) {
    const auto parent = core.parents().find(key.name);
    if (parent == core.parents().end() || parent->second.key != key) return;
    pid = parent->second.unit.pid();
    lived = parent->second.state != v1::PARENT_STATE_ENDED;
  });
  if (!lived) return;
  if (const std::shared_ptr<Life> life = host_->FindLife(key)) {
    const std::vector<StartSlot> starts = TakeStarts(life.get());
    TellUnnotedStarts(at, key, pid, starts);
    if (!life->has_answered()) ReopenStreams(key, starts);
  }
  bool empty = false;
  host_->StepCore([&](Core& core, Instant, Batch* batch) {
    core.OnParentEnded(at, key, fact, batch);
    empty = core.parents().at(key.name).live[0].empty();
  });
  Failpoint("parent.ended.decided");
  // Those of its jobs that go on: is there somebody who will tell of their ends?
  host_->Later([this] { CheckOrphans(); });
  host_->CloseLife(key);
  // Else its forked calls still write their results there, see OnJobEnded.
  if (empty) host_->DropLife(key);
}

// A parent that has ended is let go of with the last of its forks.
void Lives::OnJobEnded(uint64_t ended_job) {
  ParentKey key;
  bool over = false;
  host_->LookAtCore([&](const Core& core) {
    const CoreJob* const job = core.Find(ended_job);
    if (job == nullptr || job->is_thread()) return;
    key = job->parent;
    const auto parent = core.parents().find(key.name);
    if (parent == core.parents().end()) return;
    if (parent->second.key == key && parent->second.state != v1::PARENT_STATE_ENDED) return;
    const std::set<uint64_t>& live = parent->second.live[0];
    over = std::none_of(live.begin(), live.end(), [&](uint64_t other) {
      const CoreJob* const one = core.Find(other);
      return one != nullptr && !one->ended && one->parent == key;
    });
  });
  if (over && host_->FindLife(key) != nullptr) host_->DropLife(key);
}

}  // namespace brood
