// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/effect.h"
#include "agent/host/cell_readings.h"
#include "agent/host/sequencer.h"
#include "agent/outbox/watch_reader.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/event_loop.h"

namespace brood {

// Who watches which cells of one life of a parent, and what was written to them:
// takes it from the watch file, reads the cell from outside in the processes that
// have it, and brings both to the core as MEMORY. While nobody watches it does
// nothing. The loop's thread.
class MemoryWatch {
 public:
  using Id = uint64_t;

  // `tell` sends what is watched to the parent.
  MemoryWatch(ParentKey key, std::string directory, EventLoop* loop, Sequencer* sequencer,
              std::function<void(internal::v1::WatchCells)> tell);
  ~MemoryWatch() { Shut(); }
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  // Nothing is watched from here on.
  void Shut();

  // Watches these cells (all, if none are named). `ready` is called once no write can be missed, or
  // with an error when this is shut before that.
  Id Add(std::vector<std::string> cells, std::function<void(Status)> ready);
  void Remove(Id id);

  // The parent has taken note of it.
  void OnWatching(uint64_t generation);

  // Takes in all that this job wrote: before its end is, so that its writes come first.
  void TakeWritesOf(uint64_t job_key);
  // Takes in all that was written up to now: before the end of the parent is.
  void TakeAll() { Take(WatchReader::kAll); }

 private:
  struct Watcher {
    std::vector<std::string> cells;
    uint64_t generation = 0;  // from which on nothing is missed
    std::function<void(Status)> ready;
  };
  struct Processes;

  void Select();
  void ArmTimer();
  // Takes in what is final at that time.
  void Take(int64_t now_ns);
  bool Covers(const std::string& cell) const;
  Processes FindProcesses() const;
  void TellAll(std::vector<WatchedChange> changes, const Processes& processes);
  // False if the job is not known to have started yet.
  bool Tell(const WatchedChange& change, const Processes& processes);
  void AddMemoryReadings(const WatchedChange& change, const Processes& processes,
                         v1::Memory* memory, bool* confirmed) const;

  const ParentKey key_;
  const std::string directory_;
  EventLoop* const loop_;
  Sequencer* const sequencer_;
  const std::function<void(internal::v1::WatchCells)> tell_;
  std::map<Id, Watcher> watchers_;
  Id next_id_ = 1;
  uint64_t generation_ = 0;
  std::unique_ptr<WatchReader> reader_;
  std::vector<WatchedChange> waiting_;  // of jobs whose start has not been read
  EventLoop::TimerId timer_ = 0;
};

}  // namespace brood
