// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/outbox/watch_file.h"
#include "common/base/error.h"

namespace brood {

// Where a cell's newest entry is; kept beside the cell, under its lock.
struct WatchPlace {
  uint64_t generation = 0;  // that `watched` is of
  bool watched = false;
  uint32_t ring = 0;    // as WatchWriter counts them; 0: none yet
  uint64_t index = 0;   // of the entry
  uint64_t writer = 0;  // of the entry
  uint64_t total = 0;   // writes through this ring
  int64_t opened_ns = 0;
};

// A write of a cell, for the watch file.
struct WatchedWrite {
  std::string_view cell;
  uint64_t writer = 0;
  uint64_t version = 0;
  uint64_t address = 0;
  uint64_t image_address = 0;
  bool shared = false;
  uint16_t before_kind = 0;  // ValueKind
  uint16_t after_kind = 0;
  std::string_view before;  // as value_bytes.h has them
  std::string_view after;
};

// The parent's end of the watch file, which its forks inherit. Thread-safe.
class WatchWriter {
 public:
  static Result<std::unique_ptr<WatchWriter>> Create(const std::string& directory, uint32_t slots);
  ~WatchWriter();
  WatchWriter(const WatchWriter&) = delete;
  WatchWriter& operator=(const WatchWriter&) = delete;

  // What is watched from here on, in this process and in all its forks.
  void Select(uint64_t generation, bool all, const std::vector<std::string>& cells);

  // The same with nothing: what an agent that is gone had watched.
  void SelectNothing();

  // Before a fork: its ring is empty.
  void PrepareFork(uint32_t slot, uint64_t job_key);
  // In the forked child, before its first write: it has a ring of its own.
  void BecomeFork(uint32_t slot);

  // Whether a cell is watched. A load and a comparison as long as nothing changes.
  bool Watches(std::string_view cell, WatchPlace* place) const {
    const uint64_t now =
        std::atomic_ref<uint64_t>(header()->generation).load(std::memory_order_relaxed);
    return place->generation == now ? place->watched : FindWatched(cell, place);
  }

  // Tells of a write; by who holds the cell's lock.
  void Add(const WatchedWrite& write, WatchPlace* place);

 private:
  bool FindWatched(std::string_view cell, WatchPlace* place) const;
  WatchWriter(char* mapped, size_t size, uint32_t slots)
      : mapped_(mapped), size_(size), slots_(slots) {}
  bool Watching() const;
  WatchHeader* header() const { return reinterpret_cast<WatchHeader*>(mapped_); }

  char* const mapped_;
  const size_t size_;
  const uint32_t slots_;
  // Of this process: 1 is the threads', 2 and on the forks'.
  uint32_t ring_number_ = 1;
  size_t ring_offset_ = ThreadRingOffset();
  uint32_t ring_entries_ = kThreadEntries;
};

}  // namespace brood
