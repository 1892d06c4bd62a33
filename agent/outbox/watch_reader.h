// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
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

// The agent's end of a watch file: reads with pread, believes nothing. One thread.
class WatchReader {
 public:
  using Sink = std::function<void(WatchedChange)>;

  explicit WatchReader(const std::string& directory);

  // What stands in the threads' ring by now will not be told.
  void SkipThreads();
  // Hands over what is new, in the order of the ring; each write is counted in exactly one change.
  // With `writer`, a job key, what is new in entries that were told of waits unless they are its.
  void ReadThreads(const Sink& sink, uint64_t writer = 0);
  // The same for the forked call in that slot.
  void ReadFork(uint32_t slot, uint64_t job_key, const Sink& sink);

 private:
  struct CellState {
    uint64_t index = 0;   // of its newest entry
    uint64_t writer = 0;  // of that entry
    uint64_t total = 0;   // told so far
    uint16_t after_kind = 0;
    std::string after;
  };
  struct Ring {
    uint64_t owner = 0;
    uint64_t position = 0;      // the next entry to look for
    std::set<uint64_t> untold;  // those below it that were not whole, as many as the ring has
    std::map<std::string, CellState> cells;
  };
  bool ReadHead(size_t offset, WatchRing* ring) const;
  bool ReadEntry(size_t offset, uint32_t entries, uint64_t index, WatchEntry* entry) const;
  void Read(size_t offset, uint32_t entries, const WatchRing& head, uint64_t writer, Ring* ring,
            const Sink& sink);
  static void Tell(const WatchEntry& entry, uint64_t index, Ring* ring, const Sink& sink);

  const UniqueFd fd_;
  std::map<uint32_t, Ring> rings_;  // 0: the threads'; else slot + 1
};

}  // namespace brood
