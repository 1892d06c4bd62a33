// SPDX-License-Identifier: Apache-2.0
#include "agent/outbox/watch_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace brood {
namespace {

// An entry is written in well under a microsecond: more attempts meet a writer that has died in it.
constexpr int kAttempts = 8;
// Of cells in one ring: what a parent may have. Beyond, the file is not what it should be.
constexpr size_t kCellsMax = 4'096;

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

bool WatchReader::ReadEntry(size_t offset, uint32_t entries, uint64_t index,
                            WatchEntry* entry) const {
  const auto at =
      static_cast<off_t>(offset + sizeof(WatchRing) + index % entries * sizeof(WatchEntry));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    uint64_t again = 0;
    if (::pread(fd_.get(), entry, sizeof(*entry), at) != static_cast<ssize_t>(sizeof(*entry)) ||
        ::pread(fd_.get(), &again, sizeof(again), at) != static_cast<ssize_t>(sizeof(again))) {
      return false;
    }
    // Another number: it was overwritten, and its writes are in the totals of later ones.
    if (entry->sequence > 2 * (index + 1)) return false;
    if (entry->sequence == 2 * (index + 1) && again == entry->sequence) return true;
  }
  return false;
}

void WatchReader::SkipThreads() {
  WatchRing head;
  if (!ReadHead(ThreadRingOffset(), &head)) return;
  Ring& ring = rings_[0];
  ring.owner = 1;
  ring.position = head.head;
}

void WatchReader::ReadThreads(const Sink& sink, uint64_t writer) {
  WatchRing head;
  if (!ReadHead(ThreadRingOffset(), &head) || head.owner == 0) return;
  Read(ThreadRingOffset(), kThreadEntries, head, writer, &rings_[0], sink);
}

void WatchReader::ReadFork(uint32_t slot, uint64_t job_key, const Sink& sink) {
  WatchRing head;
  // Nothing of that job yet: the slot's last user may still stand there.
  if (!ReadHead(ForkRingOffset(slot), &head) || head.owner != job_key) return;
  Ring& ring = rings_[slot + 1];
  if (ring.owner != job_key) {
    ring = Ring();
    ring.owner = job_key;
  }
  Read(ForkRingOffset(slot), kForkEntries, head, 0, &ring, sink);
}

void WatchReader::Read(size_t offset, uint32_t entries, const WatchRing& head, uint64_t writer,
                       Ring* ring, const Sink& sink) {
  if (ring->position > head.head) ring->position = head.head;  // It never goes back.
  if (head.head - ring->position > entries) ring->position = head.head - entries;
  const uint64_t fresh = ring->position;
  WatchEntry entry;
  // Those that were amended since they were told.
  for (auto& [name, cell] : ring->cells) {
    if (cell.index >= fresh || head.head - cell.index > entries) continue;
    if (writer != 0 && cell.writer != writer) continue;
    if (ReadEntry(offset, entries, cell.index, &entry)) Tell(entry, cell.index, ring, sink);
  }
  for (; ring->position < head.head; ++ring->position) ring->untold.insert(ring->position);
  // Numbers are given before entries are written: whose writer was interrupted in it is read again.
  while (!ring->untold.empty() && head.head - *ring->untold.begin() > entries) {
    ring->untold.erase(ring->untold.begin());
  }
  for (auto index = ring->untold.begin(); index != ring->untold.end();) {
    const bool whole = ReadEntry(offset, entries, *index, &entry);
    if (whole) Tell(entry, *index, ring, sink);
    const bool overwritten = entry.sequence > 2 * (*index + 1);
    index = whole || overwritten ? ring->untold.erase(index) : std::next(index);
  }
}

void WatchReader::Tell(const WatchEntry& entry, uint64_t index, Ring* ring, const Sink& sink) {
  std::string name(entry.cell, ::strnlen(entry.cell, sizeof(entry.cell)));
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
  cell = CellState{index, entry.writer, entry.total, change.after_kind, change.after};
  change.cell = std::move(name);
  sink(std::move(change));
}

}  // namespace brood
