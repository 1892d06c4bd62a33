// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/shared_cells.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "agent/parent/limits.h"

namespace brood {
namespace {

void InitialiseMutex(pthread_mutex_t* mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  // Who holds it may be killed, and the others must go on.
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

}  // namespace

struct SharedCells::Arena {
  pthread_mutex_t mutex;  // for making cells
  std::atomic<size_t> count;
  alignas(4096) SharedCell cells[kSharedCellsMax];
};

Result<std::unique_ptr<SharedCells>> SharedCells::Create() {
  void* const mapped = ::mmap(nullptr, sizeof(Arena), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return ErrnoError(errno, "cannot map memory for shared cells");
  // Zeroed by the kernel; only the lock is more than zeros.
  auto* const arena = static_cast<Arena*>(mapped);
  InitialiseMutex(&arena->mutex);
  return std::unique_ptr<SharedCells>(new SharedCells(arena));
}

SharedCells::~SharedCells() { ::munmap(static_cast<void*>(arena_), sizeof(Arena)); }

size_t SharedCells::count() const { return arena_->count.load(std::memory_order_acquire); }

SharedCell* SharedCells::at(size_t index) const { return &arena_->cells[index]; }

SharedCell* SharedCells::FindOrMake(std::string_view name) {
  if (pthread_mutex_lock(&arena_->mutex) == EOWNERDEAD) {
    // Its count was not raised: the half-made cell is made anew.
    pthread_mutex_consistent(&arena_->mutex);
  }
  SharedCell* cell = nullptr;
  const size_t known = arena_->count.load(std::memory_order_relaxed);
  for (size_t i = 0; i < known && cell == nullptr; ++i) {
    if (name == arena_->cells[i].name) cell = &arena_->cells[i];
  }
  if (cell == nullptr && known < kSharedCellsMax) {
    cell = &arena_->cells[known];
    InitialiseMutex(&cell->mutex);
    new (&cell->image) CellImage();
    std::memset(cell->name, 0, sizeof(cell->name));
    std::memcpy(cell->name, name.data(), std::min(name.size(), sizeof(cell->name) - 1));
    arena_->count.store(known + 1, std::memory_order_release);
  }
  pthread_mutex_unlock(&arena_->mutex);
  return cell;
}

}  // namespace brood
