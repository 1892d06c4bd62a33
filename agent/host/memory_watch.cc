// SPDX-License-Identifier: Apache-2.0
#include "agent/host/memory_watch.h"

#include <algorithm>
#include <set>
#include <utility>

#include "agent/core/proto_time.h"
#include "agent/core/spec_frame.h"
#include "agent/outbox/value_bytes.h"
#include "agent/process/memory_reader.h"
#include "agent/process/process_table.h"
#include "common/base/clock.h"

namespace brood {
namespace {

// How often the rings are looked at: half of a window, so that an event comes at most one and a
// half after the write that opened it.
constexpr int64_t kPollNanos = kWatchWindowNanos / 2;
// Forks that one write is looked for in: each costs some microseconds.
constexpr size_t kForkReadingsMax = 8;
// Jobs named in visible_to; a parent may have thousands of threads.
constexpr int kVisibleToMax = 64;
// Changes that wait for a start to be read; starts come within milliseconds.
constexpr size_t kWaitingMax = 4'096;

}  // namespace

struct MemoryWatch::Processes {
  struct Fork {
    uint64_t job_key = 0;
    uint32_t slot = 0;
    CellProcess process;
  };
  CellProcess parent;
  std::vector<Fork> forks;
  std::vector<std::pair<std::string, int32_t>> threads;  // job id, its own pid
};

MemoryWatch::MemoryWatch(ParentKey key, std::string directory, EventLoop* loop,
                         Sequencer* sequencer, std::function<void(internal::v1::WatchCells)> tell)
    : key_(std::move(key)),
      directory_(std::move(directory)),
      loop_(loop),
      sequencer_(sequencer),
      tell_(std::move(tell)) {}

void MemoryWatch::Shut() {
  if (timer_ != 0) loop_->Cancel(timer_);
  timer_ = 0;
  for (const auto& [id, watcher] : std::exchange(watchers_, {})) {
    if (watcher.ready == nullptr) continue;
    watcher.ready(
        Error{ErrorCode::kUnavailable, "PARENT_ENDED", "parent '" + key_.name + "' ended", ""});
  }
}

MemoryWatch::Id MemoryWatch::Add(std::vector<std::string> cells,
                                 std::function<void(Status)> ready) {
  if (reader_ == nullptr) {
    reader_ = std::make_unique<WatchReader>(directory_);
    // Written while an earlier agent watched: that one told of it, or nobody will.
    reader_->SkipThreads();
    for (const Processes::Fork& fork : FindProcesses().forks) {
      if (fork.slot != UINT32_MAX) reader_->SkipFork(fork.slot, fork.job_key);
    }
  }
  const Id id = next_id_++;
  watchers_[id] = Watcher{std::move(cells), 0, std::move(ready)};
  Select();
  watchers_[id].generation = generation_;
  ArmTimer();
  return id;
}

void MemoryWatch::Remove(Id id) {
  if (watchers_.count(id) == 0) return;
  TakeAll();  // What this one still waits for.
  watchers_.erase(id);
  Select();
  if (watchers_.empty()) waiting_.clear();
}

void MemoryWatch::Select() {
  // Greater than whatever an earlier agent has said.
  generation_ = std::max(generation_ + 1, static_cast<uint64_t>(BootTimeNanos()));
  internal::v1::WatchCells frame;
  frame.set_generation(generation_);
  std::set<std::string> names;
  for (const auto& [id, watcher] : watchers_) {
    if (watcher.cells.empty()) frame.set_all(true);
    names.insert(watcher.cells.begin(), watcher.cells.end());
  }
  if (names.size() > kWatchedNamesMax) frame.set_all(true);
  if (!frame.all()) *frame.mutable_cells() = {names.begin(), names.end()};
  tell_(std::move(frame));
}

void MemoryWatch::OnWatching(uint64_t generation) {
  for (auto& [id, watcher] : watchers_) {
    if (watcher.ready != nullptr && watcher.generation <= generation) {
      std::exchange(watcher.ready, nullptr)(Ok());
    }
  }
}

void MemoryWatch::ArmTimer() {
  if (timer_ != 0 || watchers_.empty()) return;
  timer_ = loop_->At(BootTime{BootTimeNanos() + kPollNanos}, [this] {
    timer_ = 0;
    Take(BootTimeNanos());
    ArmTimer();
  });
}

bool MemoryWatch::Covers(const std::string& cell) const {
  return std::any_of(watchers_.begin(), watchers_.end(), [&cell](const auto& entry) {
    const std::vector<std::string>& cells = entry.second.cells;
    return cells.empty() || std::find(cells.begin(), cells.end(), cell) != cells.end();
  });
}

MemoryWatch::Processes MemoryWatch::FindProcesses() const {
  Processes found;
  sequencer_->Look([&](const Core& core) {
    const auto parent = core.parents().find(key_.name);
    if (parent == core.parents().end() || parent->second.key != key_) return;
    if (parent->second.state != v1::PARENT_STATE_ENDED) {
      found.parent.pid = parent->second.unit.pid();
      found.parent.start_ns = DurationNanos(parent->second.unit.start());
    }
    for (const uint64_t job_key : parent->second.live[0]) {
      const CoreJob* const job = core.Find(job_key);
      if (job == nullptr || !job->started() || !job->view.spec().has_call()) continue;
      found.forks.push_back(Processes::Fork{
          job_key, job->slot, CellProcess{job->view.job_id(), job->view.pid(), job->start_ns}});
    }
    for (const uint64_t job_key : parent->second.live[1]) {
      const CoreJob* const job = core.Find(job_key);
      if (job != nullptr && job->started())
        found.threads.emplace_back(job->view.job_id(), job->view.pid());
    }
  });
  return found;
}

void MemoryWatch::Take(int64_t now_ns) {
  if (watchers_.empty()) return;
  std::vector<WatchedChange> changes = std::exchange(waiting_, {});
  const WatchReader::Sink take = [&changes](WatchedChange change) {
    changes.push_back(std::move(change));
  };
  const Processes processes = FindProcesses();
  reader_->ReadThreads(now_ns, take);
  for (const Processes::Fork& fork : processes.forks) {
    if (fork.slot != UINT32_MAX) reader_->ReadFork(fork.slot, fork.job_key, now_ns, take);
  }
  TellAll(std::move(changes), processes);
}

// Many jobs end in a second, and few of them write: who has not costs one look at a ring.
void MemoryWatch::TakeWritesOf(uint64_t job_key) {
  if (watchers_.empty()) return;
  bool is_thread = false;
  uint32_t slot = UINT32_MAX;
  sequencer_->Look([&](const Core& core) {
    const CoreJob* const job = core.Find(job_key);
    if (job == nullptr || job->parent != key_ || job->ended) return;
    is_thread = job->is_thread();
    slot = job->slot;
  });
  std::vector<WatchedChange> changes;
  const WatchReader::Sink take = [&changes](WatchedChange change) {
    changes.push_back(std::move(change));
  };
  for (WatchedChange& change : std::exchange(waiting_, {})) {
    (change.writer == job_key ? changes : waiting_).push_back(std::move(change));
  }
  if (is_thread) {
    reader_->ReadThread(job_key, take);
  } else if (slot != UINT32_MAX) {
    reader_->ReadFork(slot, job_key, WatchReader::kAll, take);
  }
  if (!changes.empty()) TellAll(std::move(changes), FindProcesses());
}

void MemoryWatch::TellAll(std::vector<WatchedChange> changes, const Processes& processes) {
  for (WatchedChange& change : changes) {
    if (!Covers(change.cell)) continue;
    if (!Tell(change, processes) && waiting_.size() < kWaitingMax) {
      waiting_.push_back(std::move(change));
    }
  }
}

bool MemoryWatch::Tell(const WatchedChange& change, const Processes& processes) {
  enum class Job { kKnown, kWaited, kOver } state = Job::kOver;
  MemoryFact fact;
  fact.job_key = change.writer;
  v1::Memory& memory = fact.memory;
  sequencer_->Look([&](const Core& core) {
    const CoreJob* const job = core.Find(change.writer);
    // A parent speaks of its own jobs only.
    if (job == nullptr || job->parent != key_ || job->ended) return;
    state = job->started() ? Job::kKnown : Job::kWaited;
    memory.set_writer(job->view.job_id());
  });
  if (state != Job::kKnown) return state == Job::kOver;
  memory.set_cell(change.cell);
  memory.set_address(change.address);
  if (change.before_kind != 0)
    *memory.mutable_before() = ValueOfBytes(change.before_kind, change.before);
  *memory.mutable_after() = ValueOfBytes(change.after_kind, change.after);
  memory.set_version(change.version);
  memory.set_writes(change.writes);
  memory.set_pid(change.pid);
  memory.set_tid(change.tid);
  memory.set_shared(change.shared);
  memory.set_cut(change.cut);
  bool confirmed = false;
  AddMemoryReadings(change, processes, &memory, &confirmed);
  // The writer said so; the agent has seen it where it could read the writer's own memory.
  fact.evidence = confirmed ? v1::EVIDENCE_SEEN : v1::EVIDENCE_REPORTED;
  const Instant at{BootTime{change.boot_ns}, WallTime{change.wall_ns}};
  sequencer_->Step([&](Core& core, Instant, Batch* batch) { core.OnMemory(at, fact, batch); });
  return true;
}

void MemoryWatch::AddMemoryReadings(const WatchedChange& change, const Processes& processes,
                                    v1::Memory* memory, bool* confirmed) const {
  internal::v1::Cell cell;
  cell.set_image_address(change.image_address);
  // True if that process's memory holds this write.
  const auto read = [&](const CellProcess& process) {
    v1::MemoryReading* const reading = memory->add_readings();
    reading->set_job_id(process.job_id);
    reading->set_pid(process.pid);
    if (!IsSameProcess(process.pid, process.start_ns)) {
      reading->set_error("the process has ended");
      return false;
    }
    uint64_t writer = 0;
    const v1::OutsideReading outside = ReadOutside(cell, process, [&writer](uint64_t job_key) {
      writer = job_key;
      return std::string();
    });
    if (outside.has_value()) *reading->mutable_value() = outside.value();
    reading->set_version(outside.version());
    reading->set_error(outside.error());
    reading->set_same_write(writer == change.writer && outside.version() >= change.version);
    *confirmed = *confirmed || (process.pid == change.pid && reading->same_write());
    return reading->same_write();
  };
  if (processes.parent.pid != 0 && read(processes.parent)) {
    memory->add_visible_to("parent " + key_.name);
    for (const auto& [job_id, pid] : processes.threads) {
      // Its own start names the process that was read.
      if (pid == processes.parent.pid && memory->visible_to_size() < kVisibleToMax)
        memory->add_visible_to(job_id);
    }
  }
  std::vector<const Processes::Fork*> forks;
  for (const Processes::Fork& fork : processes.forks) {
    if (fork.job_key == change.writer) forks.insert(forks.begin(), &fork);
    if (fork.job_key != change.writer) forks.push_back(&fork);
  }
  if (forks.size() > kForkReadingsMax) forks.resize(kForkReadingsMax);
  for (const Processes::Fork* const fork : forks) {
    if (read(fork->process)) memory->add_visible_to(fork->process.job_id);
  }
}

}  // namespace brood
