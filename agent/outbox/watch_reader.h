// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "agent/outbox/watch_file.h"
#include "common/base/unique_fd.h"

namespace brood {

// What one job did to one copy of a cell since it was told of last.
struct WatchedChange {
  std::string cell;
  uint64_t writer = 0;  // job key
  uint64_t writes = 0;
  uint64_t version = 0;
  uint64_t address = 0;
  uint64_t image_address = 0;
  int64_t boot_ns = 0;
  int64_t wall_ns = 0;
  int32_t pid = 0;
  int32_t tid = 0;
  bool shared = false;
  uint16_t before_kind = 0;  // ValueKind; kUnset: the cell was made
  uint16_t after_kind = 0;
  std::string before;  // as value_bytes.h has them, at most kWatchValueBytes
  std::string after;
  bool cut = false;
};

// The agent's end of a watch file: reads with pread, believes nothing. What it hands over is in the
// order of a ring, and each write is counted in exactly one change. One thread.
class WatchReader {
 public:
  using Sink = std::function<void(WatchedChange)>;
  // A time at which every window is over.
  static constexpr int64_t kAll = INT64_MAX;

  explicit WatchReader(const std::string& directory);

  // What stands in the threads' ring, or in a fork's, by now will not be told.
  void SkipThreads();
  void SkipFork(uint32_t slot, uint64_t job_key);

  // Hands over what is new and whose window was over at that time (CLOCK_BOOTTIME): the rest may
  // still grow.
  void ReadThreads(int64_t now_ns, const Sink& sink);
  // The same for the forked call in that slot.
  void ReadFork(uint32_t slot, uint64_t job_key, int64_t now_ns, const Sink& sink);
  // All that this job wrote as a thread, and what comes before that; for a thread that has ended.
  void ReadThread(uint64_t job_key, const Sink& sink);

 private:
  struct CellState {
    uint64_t index = 0;  // of its newest entry that was told
    uint64_t writer = 0;
    int64_t opened_ns = 0;
    uint64_t total = 0;  // told so far
    uint16_t after_kind = 0;
    std::string after;
  };
  struct Ring {
    uint64_t owner = 0;
    uint64_t position = 0;              // the next entry to look at
    std::map<uint64_t, uint64_t> held;  // entries not told yet: their writer; 0: not read yet
    std::map<std::string, CellState> cells;
  };
  enum class Found { kWhole, kTorn, kGone };
  // What is told of a ring: what is final at that time, and all of that writer.
  struct Wanted {
    int64_t now_ns = 0;
    uint64_t writer = 0;
  };

  bool ReadHead(size_t offset, WatchRing* ring) const;
  Found ReadEntry(size_t offset, uint32_t entries, uint64_t index, WatchEntry* entry) const;
  void Read(size_t offset, uint32_t entries, const WatchRing& head, Wanted wanted, Ring* ring,
            const Sink& sink);
  bool HoldsAnyOf(size_t offset, uint32_t entries, uint64_t writer, Ring* ring);
  void ReadHeld(size_t offset, uint32_t entries, Wanted wanted, Ring* ring, const Sink& sink);
  static void Tell(const WatchEntry& entry, uint64_t index, Ring* ring, const Sink& sink);

  const UniqueFd fd_;
  std::map<uint32_t, Ring> rings_;  // 0: the threads'; else slot + 1
};

}  // namespace brood
