// SPDX-License-Identifier: Apache-2.0
#include "agent/host/process_watch.h"

#include <pthread.h>

#include <algorithm>
#include <cstring>

#include "agent/core/proto_time.h"
#include "agent/host/process_unit.h"
#include "agent/process/memory_reader.h"
#include "agent/process/page_meter.h"
#include "common/base/clock.h"

namespace brood {
namespace {

// Most jobs are over by then, and cost nothing.
constexpr int64_t kLookAfterNanos = 200'000'000;
// What a person sees as it happens.
constexpr int64_t kScanPeriodNanos = 250'000'000;
// A scan of so many processes that it takes long is made less often: at most 2 % of a CPU.
constexpr int64_t kScanShare = 50;
// The shortest period of a meter is 50 ms.
constexpr absl::Duration kTick = absl::Milliseconds(50);
constexpr absl::Duration kIdleTick = absl::Milliseconds(250);
// A wait that has not changed for so long was not going to end by itself in the meantime.
constexpr int64_t kStuckAfterNanos = 1'000'000'000;
// Descendants told of one job; whoever starts more is seen by that.
constexpr size_t kDescendantsMax = 256;
// Of glibc's pthread_mutex_t: lock, count, owner; the futex is its lock.
constexpr uint64_t kOwnerOffset = 8;

}  // namespace

ProcessWatch::ProcessWatch(std::string host, std::string journal, Sequencer* sequencer,
                           std::function<int()> supervisor_pid)
    : host_(std::move(host)),
      journal_(std::move(journal)),
      sequencer_(sequencer),
      supervisor_pid_(std::move(supervisor_pid)),
      thread_([this] { Run(); }) {}

ProcessWatch::~ProcessWatch() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

void ProcessWatch::Run() {
  ::pthread_setname_np(::pthread_self(), "processes");
  for (;;) {
    const std::vector<Job> jobs = FindJobs();
    std::map<uint64_t, Memory> kept;
    for (const Job& job : jobs) kept[job.key] = std::move(memories_[job.key]);
    memories_ = std::move(kept);
    bool often = false;
    for (const Job& job : jobs) {
      Memory& memory = memories_[job.key];
      if (job.meter_ns > 0) ReadMeter(job, &memory);
      if (job.may_be_stuck) LookIfStuck(job, &memory);
      often = often || job.meter_ns > 0;
    }
    if (!jobs.empty() && BootTimeNanos() >= next_scan_ns_) ScanDescendants(jobs);
    if (jobs.empty()) orphans_.clear();
    sequencer_->Commit();
    const absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), often ? kTick : kIdleTick)) return;
  }
}

std::vector<ProcessWatch::Job> ProcessWatch::FindJobs() const {
  std::vector<Job> jobs;
  const int64_t now = BootTimeNanos();
  sequencer_->Look([&](const Core& core) {
    for (const auto& entry : core.parents()) {
      for (const uint64_t key : entry.second.live[0]) {
        const CoreJob* const job = core.Find(key);
        if (job == nullptr || job->ended || !job->started()) continue;
        const v1::JobSpec& spec = job->view.spec();
        const int64_t meter = DurationNanos(spec.memory_meter());
        if (now - job->start_ns < kLookAfterNanos && meter == 0) continue;
        Job& found = jobs.emplace_back();
        found.key = key;
        found.id = job->view.job_id();
        found.pid = job->view.pid();
        found.start_ns = job->start_ns;
        // Alone at the fork, it can have inherited no lock from anybody.
        found.may_be_stuck = spec.has_call() && job->threads_at_fork > 0;
        found.kill_if_stuck_ns = DurationNanos(spec.kill_if_stuck());
        found.meter_ns = meter;
      }
    }
  });
  return jobs;
}

void ProcessWatch::ReadMeter(const Job& job, Memory* memory) {
  const int64_t now = BootTimeNanos();
  if (memory->metered_ns != 0 && now - memory->metered_ns < job.meter_ns) return;
  memory->metered_ns = now;
  const std::optional<PageMeter> meter = ReadPageMeter(job.pid);
  // It may have ended, and the pid be another's.
  if (!meter || !IsSameProcess(job.pid, job.start_ns)) return;
  v1::MemoryPages pages;
  pages.set_private_dirty(meter->private_dirty);
  pages.set_shared_dirty(meter->shared_dirty);
  pages.set_pss(meter->pss);
  pages.set_rss(meter->rss);
  sequencer_->Step(
      [&](Core& core, Instant at, Batch* batch) { core.OnMemoryPages(at, job.key, pages, batch); });
}

void ProcessWatch::LookIfStuck(const Job& job, Memory* memory) {
  const int64_t now = BootTimeNanos();
  const std::optional<LoneWait> wait = FindLoneWait(job.pid);
  if (!wait || wait != memory->wait || !IsSameProcess(job.pid, job.start_ns)) {
    memory->wait = wait;
    memory->waits_since_ns = now;
    return;
  }
  const int64_t waited = now - memory->waits_since_ns;
  if (!memory->suspected && waited >= kStuckAfterNanos) {
    memory->suspected = true;
    StuckFact fact;
    fact.job_key = job.key;
    fact.futex_address = wait->futex_address;
    fact.waited_ns = waited;
    const Result<std::string> owner =
        ReadMemoryBytes(job.pid, wait->futex_address + kOwnerOffset, sizeof(int32_t));
    if (owner) std::memcpy(&fact.owner_tid, owner->data(), sizeof(fact.owner_tid));
    sequencer_->Step(
        [&](Core& core, Instant at, Batch* batch) { core.OnStuckSuspected(at, fact, batch); });
  }
  if (memory->killed || job.kill_if_stuck_ns == 0 || !memory->suspected) return;
  if (waited < kStuckAfterNanos + job.kill_if_stuck_ns) return;
  memory->killed = true;
  sequencer_->Step([&](Core& core, Instant, Batch* batch) { core.OnStillStuck(job.key, batch); });
}

// By who is whose parent, by session and process group, and what has left all of these by what
// it was started with. A process that comes and goes between two scans is not seen.
void ProcessWatch::ScanDescendants(const std::vector<Job>& jobs) {
  const int64_t begin = BootTimeNanos();
  const std::vector<ProcessEntry> table = ReadProcessTable();
  std::multimap<pid_t, const ProcessEntry*> children;
  std::multimap<pid_t, const ProcessEntry*> members;  // by session and by process group
  const int supervisor = supervisor_pid_();
  std::map<std::string, std::vector<const ProcessEntry*>> named;
  std::map<ProcessId, std::string> orphans;
  for (const ProcessEntry& process : table) {
    if (!process.alive()) continue;
    children.emplace(process.ppid, &process);
    members.emplace(process.session, &process);
    if (process.pgid != process.session) members.emplace(process.pgid, &process);
    if (process.ppid != supervisor && process.ppid != 1) continue;
    const ProcessId id{process.pid, process.start_ticks};
    const auto known = orphans_.find(id);
    std::string job;
    if (known != orphans_.end()) {
      job = known->second;
    } else {
      const auto variables =
          ReadVariables(process.pid, {"BROOD_JOB_ID", "BROOD_HOST", "BROOD_JOURNAL"});
      if (!variables) continue;  // Not yet, perhaps: the next scan tries again.
      // Also of a job that is too young to be among `jobs`.
      if ((*variables)[1] == host_ && (*variables)[2] == journal_) job = (*variables)[0];
    }
    if (!job.empty()) named[job].push_back(&process);
    orphans.emplace(id, std::move(job));
  }
  orphans_ = std::move(orphans);
  for (const Job& job : jobs) {
    std::map<ProcessId, v1::Unit> found;
    std::vector<const ProcessEntry*> open;
    const auto add = [&](const ProcessEntry* process) {
      if (process->pid == job.pid) return;
      if (found.emplace(ProcessId{process->pid, process->start_ticks}, UnitOfProcess(*process))
              .second)
        open.push_back(process);
    };
    const auto add_all = [&](const std::multimap<pid_t, const ProcessEntry*>& from, pid_t key) {
      const auto range = from.equal_range(key);
      for (auto one = range.first; one != range.second; ++one) add(one->second);
    };
    add_all(children, job.pid);
    add_all(members, job.pid);
    for (const ProcessEntry* const process : named[job.id]) add(process);
    while (!open.empty() && found.size() <= kDescendantsMax) {
      const pid_t next = open.back()->pid;
      open.pop_back();
      add_all(children, next);
    }
    TellDescendants(job, found, &memories_[job.key]);
  }
  const int64_t took = BootTimeNanos() - begin;
  next_scan_ns_ = begin + std::max(kScanPeriodNanos, took * kScanShare);
}

void ProcessWatch::TellDescendants(const Job& job, const std::map<ProcessId, v1::Unit>& now,
                                   Memory* memory) {
  const auto tell = [&](const v1::Unit& unit, bool exited) {
    sequencer_->Step([&](Core& core, Instant at, Batch* batch) {
      core.OnDescendant(at, job.key, unit, exited, batch);
    });
  };
  for (auto known = memory->descendants.begin(); known != memory->descendants.end();) {
    if (now.count(known->first) > 0) {
      ++known;
      continue;
    }
    tell(known->second, true);
    known = memory->descendants.erase(known);
  }
  for (const auto& [id, unit] : now) {
    if (memory->descendants.size() >= kDescendantsMax) break;
    if (!memory->descendants.emplace(id, unit).second) continue;
    tell(unit, false);
  }
}

}  // namespace brood
