// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/core/core.h"
#include "agent/core/effect.h"
#include "agent/host/life.h"
#include "agent/outbox/note.h"

namespace brood {

// What the job that was this process wrote into its slot, whether its parent noted it or not. Of
// several the first after its start: by the time its end is heard of, the pid may be another's.
std::optional<SlotStart> FindStart(const Life& life, const OrphanFact& process);

// What an agent does about lives of parents: those it finds at its start, those that end, the jobs
// they leave behind, and processes for which nobody waits. Pure but for its host. The loop's
// thread.
class Lives {
 public:
  explicit Lives(LifeHost* host) : host_(host) {}

  // At the agent's start, once the journal is replayed: takes over what an earlier agent had
  // started. The lives beside the default parent's that may answer soon.
  std::vector<ParentKey> AdoptFound();
  void OnSupervisorNote(const Note& note, const std::string& text);
  // Another supervisor is there: it is no ancestor of what ran before.
  void OnSupervisorReplaced();
  // A job has ended, and with it maybe the last of its parent's.
  void OnJobEnded(uint64_t job_key);
  // Who is the parent process of these now?
  void FindAdopters(const std::vector<AdopterEffect>& orphans);
  // The job's streams had no reader for a while that they may not have outlived. Asked once.
  bool TakeMaybeCut(uint64_t job_key) { return maybe_cut_.erase(job_key) > 0; }

 private:
  std::shared_ptr<Life> Adopt(const ParentKey& key);
  void AdoptEnded();
  bool IsAlive(const ParentKey& key) const;
  void ReopenStreams(const ParentKey& ended, const std::vector<StartSlot>& starts);
  bool IsOurs(int32_t parent_pid) const { return parent_pid == host_->supervisor_pid(); }
  void CheckParents();
  void CheckOrphans();
  std::vector<OrphanFact> ListOrphans() const;
  std::vector<StartSlot> TakeStarts(Life* life) const;
  void TellUnnotedStarts(Instant at, const ParentKey& ended, int32_t ppid,
                         const std::vector<StartSlot>& starts);
  static void TellUnnotedStart(Instant at, const ParentKey& ended, int32_t ppid,
                               const SlotStart& noted, Core* core, Batch* batch);
  void OnParentEnd(Instant at, const ParentKey& key, const WaitStatus& status,
                   v1::Observer observer);
  void OnOrphanEnd(Instant at, OrphanFact fact);
  void EndLife(Instant at, const ParentKey& key, const ParentEndFact& fact);

  LifeHost* const host_;
  std::set<uint64_t> maybe_cut_;
};

}  // namespace brood
