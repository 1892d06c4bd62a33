// SPDX-License-Identifier: Apache-2.0
#include "agent/outbox/watch_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace brood {
namespace {

// An entry is written in well under a microsecond: more attempts meet a writer that has died in it.
constexpr int kAttempts = 8;
// Of cells in one ring: what a parent may have. Beyond, the file is not what it should be.
constexpr size_t kCellsMax = 4'096;
// How long after its opening an entry is looked at again. A writer must be held up for as long in
// the middle of a write to have it counted no sooner than at its next one, or at its end.
constexpr int64_t kLateNanos = 20 * kWatchWindowNanos;

std::string CellOf(const WatchEntry& entry) {
  return std::string(entry.cell, ::strnlen(entry.cell, sizeof(entry.cell)));
}

std::string Bytes(const char* bytes, uint32_t size) {
  return std::string(bytes, std::min<size_t>(size, kWatchValueBytes));
}

}  // namespace

WatchReader::WatchReader(const std::string& directory)
    : fd_(::open((directory + "/watch").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) {}

bool WatchReader::ReadHead(size_t offset, WatchRing* ring) const {
  return fd_ && ::pread(fd_.get(), ring, sizeof(*ring), static_cast<off_t>(offset)) ==
                    static_cast<ssize_t>(sizeof(*ring));
}

WatchReader::Found WatchReader::ReadEntry(size_t offset, uint32_t entries, uint64_t index,
                                          WatchEntry* entry) const {
  const auto at =
      static_cast<off_t>(offset + sizeof(WatchRing) + index % entries * sizeof(WatchEntry));
  const uint64_t whole = 2 * (index + 1);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    WatchEntry again;
    if (::pread(fd_.get(), entry, sizeof(*entry), at) != static_cast<ssize_t>(sizeof(*entry)) ||
        ::pread(fd_.get(), &again, sizeof(again), at) != static_cast<ssize_t>(sizeof(again))) {
      return Found::kGone;
    }
    // Another number: it was overwritten, and its writes are in the totals of later ones.
    if (entry->sequence > whole) return Found::kGone;
    // All of it twice: an amended entry has the number that it had, and a copy may take the parts
    // in any order.
    if (entry->sequence == whole && std::memcmp(entry, &again, sizeof(again)) == 0)
      return Found::kWhole;
  }
  return Found::kTorn;
}

void WatchReader::SkipThreads() {
  ReadThreads(kAll, [](const WatchedChange&) {});
}

void WatchReader::SkipFork(uint32_t slot, uint64_t job_key) {
  ReadFork(slot, job_key, kAll, [](const WatchedChange&) {});
}

void WatchReader::ReadThreads(int64_t now_ns, const Sink& sink) {
  WatchRing head;
  if (!ReadHead(ThreadRingOffset(), &head) || head.owner == 0) return;
  Read(ThreadRingOffset(), kThreadEntries, head, Wanted{now_ns, 0}, &rings_[0], sink);
}

void WatchReader::ReadThread(uint64_t job_key, const Sink& sink) {
  WatchRing head;
  if (!ReadHead(ThreadRingOffset(), &head) || head.owner == 0) return;
  Read(ThreadRingOffset(), kThreadEntries, head, Wanted{0, job_key}, &rings_[0], sink);
}

void WatchReader::ReadFork(uint32_t slot, uint64_t job_key, int64_t now_ns, const Sink& sink) {
  WatchRing head;
  // Nothing of that job yet: the slot's last user may still stand there.
  if (!ReadHead(ForkRingOffset(slot), &head) || head.owner != job_key) return;
  Ring& ring = rings_[slot + 1];
  if (ring.owner != job_key) {
    ring = Ring();
    ring.owner = job_key;
  }
  Read(ForkRingOffset(slot), kForkEntries, head, Wanted{now_ns, 0}, &ring, sink);
}

void WatchReader::Read(size_t offset, uint32_t entries, const WatchRing& head, Wanted wanted,
                       Ring* ring, const Sink& sink) {
  if (ring->position > head.head) ring->position = head.head;  // It never goes back.
  const uint64_t oldest = head.head - std::min<uint64_t>(head.head, entries);
  // A writer that was held up between two steps may amend an entry that was told.
  WatchEntry entry;
  for (auto& [name, cell] : ring->cells) {
    const bool look = cell.writer == wanted.writer || wanted.now_ns == kAll ||
                      (wanted.now_ns != 0 && cell.opened_ns > wanted.now_ns - kLateNanos);
    if (cell.index < oldest || !look) continue;
    if (ReadEntry(offset, entries, cell.index, &entry) == Found::kWhole && name == CellOf(entry)) {
      Tell(entry, cell.index, ring, sink);
    }
  }
  ring->held.erase(ring->held.begin(), ring->held.lower_bound(oldest));
  for (uint64_t index = std::max(ring->position, oldest); index < head.head; ++index) {
    ring->held.emplace_hint(ring->held.end(), index, 0);
  }
  ring->position = head.head;
  if (wanted.now_ns != 0 || HoldsAnyOf(offset, entries, wanted.writer, ring))
    ReadHeld(offset, entries, wanted, ring, sink);
}

// Asked at the end of each job: looks only at entries that have not been looked at.
bool WatchReader::HoldsAnyOf(size_t offset, uint32_t entries, uint64_t writer, Ring* ring) {
  bool any = false;
  WatchEntry entry;
  for (auto& [index, of] : ring->held) {
    if (of == 0 && ReadEntry(offset, entries, index, &entry) == Found::kWhole) of = entry.writer;
    any = any || of == writer;
  }
  return any;
}

void WatchReader::ReadHeld(size_t offset, uint32_t entries, Wanted wanted, Ring* ring,
                           const Sink& sink) {
  std::vector<std::pair<uint64_t, WatchEntry>> whole;
  std::map<std::string, uint64_t> newest;  // entry of each cell
  WatchEntry entry;
  for (auto held = ring->held.begin(); held != ring->held.end();) {
    const Found found = ReadEntry(offset, entries, held->first, &entry);
    if (found == Found::kGone) {
      held = ring->held.erase(held);
      continue;
    }
    // One that stays torn is that of a writer that died in it.
    if (found == Found::kWhole) {
      held->second = entry.writer;
      newest[CellOf(entry)] = held->first;
      whole.emplace_back(held->first, entry);
    }
    ++held;
  }
  for (const auto& [index, read] : whole) {
    // A later one of the same cell closes it.
    const bool closed = newest[CellOf(read)] > index || wanted.now_ns == kAll ||
                        read.opened_ns <= wanted.now_ns - kWatchWindowNanos ||
                        read.writer == wanted.writer;
    if (!closed) continue;
    Tell(read, index, ring, sink);
    ring->held.erase(index);
  }
}

void WatchReader::Tell(const WatchEntry& entry, uint64_t index, Ring* ring, const Sink& sink) {
  std::string name = CellOf(entry);
  const auto found = ring->cells.find(name);
  const bool known = found != ring->cells.end();
  if (!known && ring->cells.size() >= kCellsMax) return;
  const uint64_t told = known ? found->second.total : entry.total_before;
  if (entry.total <= told) return;
  WatchedChange change;
  change.writer = entry.writer;
  change.writes = entry.total - told;
  change.version = entry.version;
  change.address = entry.address;
  change.image_address = entry.image_address;
  change.boot_ns = entry.boot_ns;
  change.wall_ns = entry.wall_ns;
  change.pid = entry.pid;
  change.tid = entry.tid;
  change.shared = entry.shared != 0;
  change.before_kind = entry.before_kind;
  change.before = Bytes(entry.before, entry.before_size);
  change.after_kind = entry.after_kind;
  change.after = Bytes(entry.after, entry.after_size);
  change.cut = entry.before_size > kWatchValueBytes || entry.after_size > kWatchValueBytes;
  CellState& cell = ring->cells[name];
  if (known && cell.index == index) {
    // Amended: what was told of it last is what it held before.
    change.before_kind = cell.after_kind;
    change.before = cell.after;
  }
  cell =
      CellState{index, entry.writer, entry.opened_ns, entry.total, change.after_kind, change.after};
  change.cell = std::move(name);
  sink(std::move(change));
}

}  // namespace brood
