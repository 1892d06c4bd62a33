// SPDX-License-Identifier: Apache-2.0
#include "agent/host/parent_notes.h"

#include <string>
#include <utility>

#include "agent/host/note_facts.h"
#include "agent/outbox/hazard_bytes.h"

namespace brood {
namespace {

StartedFact StartOf(const Note& note, std::string_view text, const Core& core) {
  StartedFact fact = StartedOfNote(note);
  for (const HazardNote& hazard : FromHazardBytes(text)) {
    v1::Hazard& out = fact.hazards.emplace_back();
    out.set_kind(static_cast<v1::HazardKind>(hazard.kind));
    out.set_name(hazard.name);
    out.set_tid(hazard.tid);
    if (const CoreJob* const holder = core.Find(hazard.job_key))
      out.set_job_id(holder->view.job_id());
  }
  return fact;
}

ExitedFact EndOf(const Life& life, const Note& note, const CoreJob& job) {
  ExitedFact fact;
  fact.job_key = note.job_key;
  fact.status = StatusOfNote(note);
  if (MayBeOutOfMemory(fact.status))
    fact.status.memory_limit_hit = life.WasOutOfMemory(note.job_key);
  fact.group_alive = (note.flags & kGroupAlive) != 0;
  // What it is, is not known where the journal no longer has its spec.
  if (job.view.spec().has_command()) return fact;
  CallFacts call = life.ReadCall(note.job_key, note.slot);
  fact.result = std::move(call.result);
  fact.progress = std::move(call.progress);
  return fact;
}

}  // namespace

void TakeParentNote(const Life& life, const Note& note, std::string_view text, Core* core,
                    Batch* batch) {
  const Instant at{BootTime{note.boot_ns}, WallTime{note.wall_ns}};
  if (note.kind == NoteKind::kParentEnding)
    return core->OnParentEnding(at, life.key(), static_cast<v1::ParentEnd>(note.status), batch);
  const CoreJob* const job = core->Find(note.job_key);
  if (job == nullptr || job->parent != life.key()) return;
  switch (note.kind) {
    case NoteKind::kStarted:
      return core->OnStarted(at, StartOf(note, text, *core), batch);
    case NoteKind::kFailedToStart:
      return core->OnFailedToStart(at, FailedOfNote(note, text), batch);
    case NoteKind::kExited:
      return core->OnExited(at, EndOf(life, note, *job), batch);
    case NoteKind::kStopped:
    case NoteKind::kContinued:
      return core->OnStopped(at, note.job_key, note.kind == NoteKind::kStopped ? note.status : 0,
                             batch);
    case NoteKind::kReturned:
    case NoteKind::kThrew:
    case NoteKind::kStopHonoured:
      return core->OnThreadEnded(at, ThreadEndedFact{note.job_key, ResultOfNote(note, text)},
                                 batch);
    case NoteKind::kProgress:
      return core->OnProgress(at.wall, note.job_key,
                              CallProgress{note.boot_ns, note.fraction,
                                           std::string(text.substr(0, kProgressTextBytes))},
                              batch);
    default:
      return;  // Not for a parent to say.
  }
}

}  // namespace brood
