// SPDX-License-Identifier: Apache-2.0
#include "agent/outbox/watch_writer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"

namespace brood {

Result<std::unique_ptr<WatchWriter>> WatchWriter::Create(const std::string& directory,
                                                         uint32_t slots) {
  const std::string path = directory + "/watch";
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return ErrnoError(errno, "cannot make '" + path + "'");
  const size_t size = ForkRingOffset(slots);
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return ErrnoError(errno, "cannot size '" + path + "'");
  }
  void* const mapped =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (mapped == MAP_FAILED) return ErrnoError(errno, "cannot map '" + path + "'");
  return std::unique_ptr<WatchWriter>(new WatchWriter(static_cast<char*>(mapped), size, slots));
}

WatchWriter::~WatchWriter() { ::munmap(mapped_, size_); }

void WatchWriter::Select(uint64_t generation, bool all, const std::vector<std::string>& cells) {
  WatchHeader* const out = header();
  const size_t count = std::min(cells.size(), kWatchedNamesMax);
  std::atomic_ref<uint32_t>(out->all).store(all ? 1 : 0, std::memory_order_relaxed);
  for (size_t i = 0; i < count; ++i) {
    char name[kWatchNameBytes] = {};
    std::memcpy(name, cells[i].data(), std::min(cells[i].size(), kWatchNameBytes - 1));
    std::memcpy(out->names[i], name, sizeof(name));
  }
  std::atomic_ref<uint32_t>(out->count)
      .store(static_cast<uint32_t>(count), std::memory_order_relaxed);
  std::atomic_ref<uint64_t>(out->generation).store(generation, std::memory_order_release);
}

void WatchWriter::SelectNothing() {
  if (Watching()) Select(header()->generation + 1, false, {});
}

bool WatchWriter::Watching() const {
  return std::atomic_ref<uint32_t>(header()->all).load(std::memory_order_relaxed) != 0 ||
         std::atomic_ref<uint32_t>(header()->count).load(std::memory_order_relaxed) != 0;
}

void WatchWriter::PrepareFork(uint32_t slot, uint64_t job_key) {
  // Touched only where somebody watches: the file stays sparse otherwise.
  if (slot >= slots_ || !Watching()) return;
  auto* const ring = reinterpret_cast<WatchRing*>(mapped_ + ForkRingOffset(slot));
  std::atomic_ref<uint64_t>(ring->head).store(0, std::memory_order_relaxed);
  std::atomic_ref<uint64_t>(ring->owner).store(job_key, std::memory_order_release);
}

void WatchWriter::BecomeFork(uint32_t slot) {
  if (slot >= slots_) return;
  ring_number_ = slot + 2;
  ring_offset_ = ForkRingOffset(slot);
  ring_entries_ = kForkEntries;
}

bool WatchWriter::FindWatched(std::string_view cell, WatchPlace* place) const {
  WatchHeader* const now = header();
  const uint64_t generation =
      std::atomic_ref<uint64_t>(now->generation).load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  bool watched = std::atomic_ref<uint32_t>(now->all).load(std::memory_order_relaxed) != 0;
  const uint32_t count = std::min<uint32_t>(
      std::atomic_ref<uint32_t>(now->count).load(std::memory_order_relaxed), kWatchedNamesMax);
  for (uint32_t i = 0; i < count && !watched; ++i) {
    watched = cell == std::string_view(now->names[i], ::strnlen(now->names[i], kWatchNameBytes));
  }
  place->generation = generation;
  place->watched = watched;
  // A reader that has just come does not look at earlier entries: nothing may be added to them.
  place->opened_ns = 0;
  return watched;
}

void WatchWriter::Add(const WatchedWrite& write, WatchPlace* place) {
  auto* const ring = reinterpret_cast<WatchRing*>(mapped_ + ring_offset_);
  auto* const entries = reinterpret_cast<WatchEntry*>(mapped_ + ring_offset_ + sizeof(WatchRing));
  const Instant now = RealClock().Now();
  std::atomic_ref<uint64_t> head(ring->head);
  std::atomic_ref<uint64_t> owner(ring->owner);
  if (place->ring != ring_number_) {
    // A cell that this process has not told of: nothing of the parent's ring counts here.
    place->ring = ring_number_;
    place->total = 0;
    place->opened_ns = 0;
  }
  if (ring_number_ == 1) {
    owner.store(1, std::memory_order_relaxed);
  } else if (owner.load(std::memory_order_relaxed) != write.writer) {
    // It began before anybody watched.
    head.store(0, std::memory_order_relaxed);
    owner.store(write.writer, std::memory_order_release);
  }
  bool amends = place->opened_ns != 0 && place->writer == write.writer &&
                now.boot.ns - place->opened_ns < kWatchWindowNanos;
  // Overwritten meanwhile by entries of other cells?
  if (amends) {
    WatchEntry* const newest = &entries[place->index % ring_entries_];
    amends = std::atomic_ref<uint64_t>(newest->sequence).load(std::memory_order_relaxed) ==
             2 * (place->index + 1);
  }
  if (!amends) {
    place->index = head.fetch_add(1, std::memory_order_acq_rel);
    place->writer = write.writer;
    place->opened_ns = now.boot.ns;
  }
  WatchEntry* const entry = &entries[place->index % ring_entries_];
  std::atomic_ref<uint64_t> sequence(entry->sequence);
  const uint64_t whole = 2 * (place->index + 1);
  sequence.store(whole - 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  if (!amends) {
    entry->writer = write.writer;
    entry->opened_ns = now.boot.ns;
    entry->total_before = place->total;
    entry->pid = ::getpid();
    entry->tid = static_cast<int32_t>(::syscall(SYS_gettid));
    entry->shared = write.shared ? 1 : 0;
    std::memset(entry->cell, 0, sizeof(entry->cell));
    std::memcpy(entry->cell, write.cell.data(), std::min(write.cell.size(), kWatchNameBytes - 1));
    entry->before_kind = write.before_kind;
    entry->before_size = static_cast<uint32_t>(write.before.size());
    std::memcpy(entry->before, write.before.data(),
                std::min(write.before.size(), kWatchValueBytes));
  }
  entry->total = ++place->total;
  entry->version = write.version;
  entry->address = write.address;
  entry->image_address = write.image_address;
  entry->boot_ns = now.boot.ns;
  entry->wall_ns = now.wall.ns;
  entry->after_kind = write.after_kind;
  entry->after_size = static_cast<uint32_t>(write.after.size());
  std::memcpy(entry->after, write.after.data(), std::min(write.after.size(), kWatchValueBytes));
  sequence.store(whole, std::memory_order_release);
}

}  // namespace brood
