// SPDX-License-Identifier: Apache-2.0
//
// What an agent does about what it finds: lives of parents that an earlier agent had started, their
// jobs' streams, notes of supervisors that are gone, and processes for which nobody waits.
#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/core/proto_time.h"
#include "agent/host/agent.h"
#include "agent/host/note_facts.h"
#include "agent/outbox/outbox_reader.h"
#include "agent/process/pipe_reopen.h"
#include "agent/process/process_table.h"
#include "common/base/clock.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// A supervisor that did not start: no memory, or no process to be had.
constexpr int64_t kSupervisorRetryNanos = 1'000'000'000;

}  // namespace

std::shared_ptr<ParentLink> Agent::AdoptLife(const ParentKey& key) {
  auto link =
      std::make_shared<ParentLink>(key, ParentDirectory(key), ParentSocket(key), incarnation_,
                                   loop_, sequencer_.get(), spool_.get(), inputs_.get());
  link->SetLimitGroups(limit_groups_.get());
  link->ReadNotes();
  // The notes of starts that the journal has are gone, and no event says which slot a job has.
  const std::vector<StartSlot> starts = link->ReadStarts();
  sequencer_->Step([&](Core& core, Instant, Batch*) {
    for (uint32_t slot = 0; slot < starts.size(); ++slot) {
      if (starts[slot].claim != kRevoked)
        core.OnSlot(key, starts[slot].job_key, starts[slot].attempt, slot);
    }
  });
  const absl::MutexLock lock(&links_mutex_);
  links_[key] = link;
  return link;
}

// Lives that the journal knows to have ended, and that have jobs which go on: their streams, and
// the slots in which forked calls return their values.
void Agent::AdoptEndedLives() {
  std::set<ParentKey> ended;
  sequencer_->Look([&](const Core& core) {
    for (const auto& [job_key, job] : core.jobs()) {
      if (!job->output_closed && job->started() && core.IsOver(job->parent))
        ended.insert(job->parent);
    }
  });
  for (const ParentKey& key : ended) {
    const std::vector<StartSlot> starts = AdoptLife(key)->TakeStarts();
    // All are known to have started; in which slot is not.
    sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      TellUnnotedStarts(now, key, 0, starts, &core, batch);
    });
    ReopenStreams(key, starts);
  }
}

void Agent::AdoptParents() {
  AdoptEndedLives();
  // Lives that the journal does not know to have ended: their notes come first,
  // the supervisor's word on ends and orphans after.
  std::vector<ParentKey> open;
  sequencer_->Look([&](const Core& core) {
    for (const auto& entry : core.parents()) {
      if (entry.second.state != v1::PARENT_STATE_ENDED) open.push_back(entry.second.key);
    }
  });
  for (const ParentKey& key : open) {
    AdoptLife(key);
    if (key.name != kDefaultParent) adopted_.push_back(key);
    loop_->Post([this, key] {
      if (Lives(key)) ConnectParent(key, 0);
    });
  }
  ReadOlderSupervisors();
  supervisor_->ReadNotes();
  // What is not among the notes nobody saw.
  loop_->Post([this] {
    CheckParents();
    CheckOrphans();
  });
}

bool Agent::Lives(const ParentKey& key) const {
  v1::Unit unit;
  sequencer_->Look([&](const Core& core) {
    const auto parent = core.parents().find(key.name);
    if (parent != core.parents().end() && parent->second.key == key &&
        parent->second.state != v1::PARENT_STATE_ENDED) {
      unit = parent->second.unit;
    }
  });
  return unit.has_pid() && IsSameProcess(unit.pid(), DurationNanos(unit.start()));
}

// Nobody has the pipes of its jobs: the parent that had ended, and the agent that read them, are
// gone. The jobs that live still hold them.
void Agent::ReopenStreams(const ParentKey& ended, const std::vector<StartSlot>& starts) {
  struct Job {
    uint64_t key;
    pid_t pid;
    int64_t start_ns;
    bool is_thread;
  };
  std::vector<Job> jobs;
  sequencer_->Look([&](const Core& core) {
    for (const auto& [job_key, job] : core.jobs()) {
      if (job->parent == ended && job->started() && !job->output_closed)
        jobs.push_back(Job{job_key, job->view.pid(), job->start_ns, job->is_thread()});
    }
  });
  for (const Job& job : jobs) {
    if (spool_->IsFile(job.key)) continue;  // Nothing is between it and its files.
    const auto start = std::find_if(starts.begin(), starts.end(), [&job](const StartSlot& slot) {
      return slot.job_key == job.key && slot.claim != kRevoked;
    });
    UniqueFd out;
    UniqueFd err;
    if (!job.is_thread && start != starts.end() && IsSameProcess(job.pid, job.start_ns)) {
      out = ReopenPipe(job.pid, start->output_inode);
      err = ReopenPipe(job.pid, start->error_inode);
    }
    if (!out || !err) maybe_cut_.insert(job.key);
    if (out || err) spool_->Attach(job.key, std::move(out), std::move(err));
  }
}

void Agent::OnSupervisorGone() {
  // One that was told to end has ended.
  if (parents_told_) return;
  spdlog::error("the supervisor {} is gone; starting a new one", supervisor_pid_.load());
  loop_->Post([this] { ReplaceSupervisor(); });
}

// Parents and jobs go on. The new supervisor is no ancestor of theirs: the agent waits for them.
void Agent::ReplaceSupervisor() {
  if (const Status failed = OpenSupervisor()) {
    spdlog::critical("{}", failed->message);
    loop_->At(BootTime{BootTimeNanos() + kSupervisorRetryNanos}, [this] { ReplaceSupervisor(); });
    return;
  }
  ReadOlderSupervisors();
  sequencer_->Step([](Core& core, Instant, Batch* batch) { core.OnSupervisorChanged(batch); });
  CheckParents();
  CheckOrphans();
}

// What supervisors that have died noted, and no agent lived to read.
void Agent::ReadOlderSupervisors() {
  for (const uint64_t incarnation : SupervisorLink::ListIncarnations(options_.state_directory)) {
    if (incarnation == supervisor_->incarnation()) continue;
    const std::string folder = SupervisorLink::Directory(options_.state_directory, incarnation);
    OutboxReader(folder).Read([this](const Note& note, std::string_view text) {
      OnSupervisorNote(note, std::string(text));
    });
    spent_folders_.push_back(folder);
  }
}

bool Agent::IsOurs(const ProcessEntry& process) const {
  return process.ppid == supervisor_pid_.load();
}

// Parents of which the supervisor will not tell: watched, if they live.
void Agent::CheckParents() {
  struct Life {
    ParentKey key;
    pid_t pid;
    int64_t start_ns;
  };
  std::vector<Life> lives;
  sequencer_->Look([&](const Core& core) {
    for (const auto& [name, parent] : core.parents()) {
      if (parent.state == v1::PARENT_STATE_ENDED || !parent.unit.has_pid()) continue;
      lives.push_back(Life{parent.key, parent.unit.pid(), DurationNanos(parent.unit.start())});
    }
  });
  for (const Life& life : lives) {
    const std::optional<ProcessEntry> process = ReadProcess(life.pid);
    if (process && IsSameProcess(life.pid, life.start_ns) && IsOurs(*process)) continue;
    const ParentKey key = life.key;
    const bool watched =
        strangers_->Watch(life.pid, life.start_ns, [this, key](std::optional<int> status) {
          OnParentEnd(clock_->Now(), key, StatusOfWait(status), v1::OBSERVER_AGENT);
        });
    if (watched) continue;
    // It may have been waited for by now, and noted.
    supervisor_->ReadNotes();
    OnParentEnd(clock_->Now(), key, WaitStatus(), v1::OBSERVER_AGENT);
  }
}

// Jobs whose parent has ended and of which the supervisor will not tell.
void Agent::CheckOrphans() {
  std::vector<OrphanFact> gone;
  std::vector<OrphanFact> orphans;
  const auto find = [&orphans](const Core& core) {
    orphans.clear();
    for (const auto& [job_key, job] : core.jobs()) {
      if (job->ended || !job->started() || job->is_thread() || !core.IsOver(job->parent)) continue;
      OrphanFact& orphan = orphans.emplace_back();
      orphan.job_key = job_key;
      orphan.pid = job->view.pid();
      orphan.start_ns = job->start_ns;
    }
  };
  sequencer_->Look(find);
  for (const OrphanFact& orphan : orphans) {
    const std::optional<ProcessEntry> process = ReadProcess(orphan.pid);
    const bool lives = process && IsSameProcess(orphan.pid, orphan.start_ns);
    if (lives && IsOurs(*process)) continue;
    const bool watched = lives && strangers_->Watch(orphan.pid, orphan.start_ns,
                                                    [this, orphan](std::optional<int> status) {
                                                      OrphanFact ended = orphan;
                                                      ended.status = StatusOfWait(status);
                                                      OnOrphanEnd(clock_->Now(), ended);
                                                    });
    if (!watched) gone.push_back(orphan);
  }
  if (gone.empty()) return;
  // A supervisor notes before it lets the process go.
  supervisor_->ReadNotes();
  sequencer_->Look(find);
  for (const OrphanFact& orphan : gone) {
    const bool untold = std::any_of(orphans.begin(), orphans.end(), [&](const OrphanFact& other) {
      return other.pid == orphan.pid && other.start_ns == orphan.start_ns;
    });
    if (untold) OnOrphanEnd(clock_->Now(), orphan);
  }
}

}  // namespace brood
