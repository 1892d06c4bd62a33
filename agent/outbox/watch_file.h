// SPDX-License-Identifier: Apache-2.0
//
// The watch file of one parent incarnation: how writes of watched cells reach
// the agent, from threads and forked children alike, and also after the writer
// has ended. DIRECTORY/watch, mapped shared by the parent and so by its forks, holds
//
//   from 0       WatchHeader: what is watched now
//   from 8192    WatchRing of the parent's own threads, kThreadEntries entries
//   from the next page on   WatchRing x N of the forked calls, by call slot, kForkEntries each
//
// The file is sparse: what nobody watches takes no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace brood {

// Names that can be watched at once; beyond, all cells are, and the agent picks.
inline constexpr size_t kWatchedNamesMax = 64;
inline constexpr size_t kWatchNameBytes = 72;  // 64 and a NUL, in whole words
// Bytes of a value that an entry keeps: most are numbers and short texts.
inline constexpr size_t kWatchValueBytes = 128;
// Writes of one job to one cell within this time become one entry: 20 a second are
// still seen as they happen, and a million writes cost no more than 20.
inline constexpr int64_t kWatchWindowNanos = 50'000'000;
// Many threads may take turns on one cell; a fork writes alone. A ring that is
// overrun loses entries, never counts: their totals tell how many writes there were.
inline constexpr uint32_t kThreadEntries = 1024;
inline constexpr uint32_t kForkEntries = 64;

struct WatchHeader {
  // Grows with each change, stored last (release); 0: nothing was ever watched.
  uint64_t generation = 0;
  uint32_t all = 0;    // 1: every cell
  uint32_t count = 0;  // of names
  char names[kWatchedNamesMax][kWatchNameBytes] = {};
};
inline constexpr size_t kWatchHeaderBytes = 8192;
static_assert(sizeof(WatchHeader) <= kWatchHeaderBytes);

// One event to be: what one job did to one cell within a window.
struct WatchEntry {
  // 2 x (its number from 0 + 1) when it is whole; odd while it is being written.
  uint64_t sequence = 0;
  uint64_t writer = 0;         // job key
  uint64_t version = 0;        // of the cell after the last write
  uint64_t total_before = 0;   // writes of this cell through this ring before this entry,
  uint64_t total = 0;          // and with it
  uint64_t address = 0;        // of the value
  uint64_t image_address = 0;  // of the CellImage
  int64_t opened_ns = 0;       // CLOCK_BOOTTIME of the first write; none joins it a window later
  int64_t boot_ns = 0;         // of the last write
  int64_t wall_ns = 0;
  int32_t pid = 0;
  int32_t tid = 0;
  uint32_t shared = 0;       // 1: CELL_KIND_SHARED
  uint16_t before_kind = 0;  // ValueKind; kUnset: this write made the cell
  uint16_t after_kind = 0;
  uint32_t before_size = 0;  // of the whole value; kWatchValueBytes of it are here at most
  uint32_t after_size = 0;
  char cell[kWatchNameBytes] = {};
  char before[kWatchValueBytes] = {};  // as value_bytes.h has it
  char after[kWatchValueBytes] = {};
  char padding[80] = {};
};
static_assert(sizeof(WatchEntry) == 512);
static_assert(std::is_trivially_copyable_v<WatchEntry>);

struct WatchRing {
  // Whose it is now: the job key of the fork; 1 for the threads' ring, never 0 once used.
  uint64_t owner = 0;
  // Entries ever written; entry i stands at i modulo the ring's size. Stored last (release).
  uint64_t head = 0;
  char padding[48] = {};
  // The entries follow.
};
static_assert(sizeof(WatchRing) == 64);

// Where the rings are, and how large the file is.
constexpr size_t WatchRingBytes(uint32_t entries) {
  constexpr size_t kPageBytes = 4096;
  return (sizeof(WatchRing) + entries * sizeof(WatchEntry) + kPageBytes - 1) / kPageBytes *
         kPageBytes;
}
constexpr size_t ThreadRingOffset() { return kWatchHeaderBytes; }
constexpr size_t ForkRingOffset(uint32_t slot) {
  return kWatchHeaderBytes + WatchRingBytes(kThreadEntries) + slot * WatchRingBytes(kForkEntries);
}

}  // namespace brood
