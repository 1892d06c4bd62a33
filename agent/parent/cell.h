// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "agent/outbox/cell_image.h"
#include "agent/outbox/slot_file.h"
#include "agent/outbox/watch_writer.h"
#include "agent/parent/cell_lock.h"
#include "agent/sdk/task.h"

namespace brood {

// A cell in the arena of shared_cells.h: its lock and its value are in the mapping
// itself, so all processes that have it use the same ones.
struct SharedCell {
  pthread_mutex_t mutex;  // process-shared and robust
  std::atomic<uint64_t> holder;
  char name[kWatchNameBytes];
  CellImage image;
  char bytes[kValueBytesMax];
};

// A named value: in this process's own memory, or (shared) in a mapping that it has
// in common with its forks. Its CellImage is the truth, so that it can be read from
// outside. All but Lock and holder() by who holds the lock.
class Cell {
 public:
  // Private. `asymmetric`: AsymmetricBarrier is registered.
  Cell(std::string_view name, bool asymmetric);
  explicit Cell(SharedCell* shared);  // that must live as long as this
  // A block of private memory; its value is its first bytes, for ever, and nobody sets it.
  Cell(std::string_view name, bool asymmetric, char* block, size_t bytes, uint64_t writer);
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  void Lock(uint64_t job_key) {
    if (shared_ == nullptr) return lock_.Lock(job_key);
    LockShared(job_key);
  }
  // By CLOCK_MONOTONIC: no clock that somebody sets makes it wait for less, or longer.
  bool LockUntil(const timespec& until, uint64_t job_key);
  void Unlock() {
    if (shared_ == nullptr) return lock_.Unlock();
    UnlockShared();
  }
  // Job key of who holds the lock; 0: nobody, or somebody who is no job.
  uint64_t holder() const {
    return shared_ == nullptr ? lock_.owner() : shared_->holder.load(std::memory_order_relaxed);
  }

  brood_value Get() const;
  // Counts as one write. BROOD_TOO_LARGE or BROOD_WRONG_TYPE, and nothing is changed, for what is
  // no value; BROOD_WRONG_KIND for a block.
  int Set(const brood_value& value, uint64_t writer) {
    // What a write costs is what this costs: most are numbers.
    if (value.type != BROOD_INT || block_bytes_ > 0) return SetOther(value, writer);
    const Changing changing(image_);
    image_->scalar = value.integer;
    Written(BROOD_INT, writer);
    return BROOD_OK;
  }

  const std::string& name() const { return name_; }
  bool shared() const { return shared_ != nullptr; }
  // Of a block; else 0.
  size_t block_bytes() const { return block_bytes_; }
  const CellImage& image() const { return *image_; }
  // Of a scalar's value for ever the same, of bytes as long as they fit.
  uint64_t address() const;
  WatchPlace* watch_place() { return &watch_place_; }

 private:
  // Odd while the image is being changed: who reads it from outside then reads it again.
  class Changing {
   public:
    explicit Changing(CellImage* image) : sequence_(image->sequence) {
      sequence_.store(sequence_.load(std::memory_order_relaxed) | 1, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_release);
    }
    ~Changing() {
      sequence_.store(sequence_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
    Changing(const Changing&) = delete;
    Changing& operator=(const Changing&) = delete;

   private:
    std::atomic_ref<uint64_t> sequence_;
  };

  int SetOther(const brood_value& value, uint64_t writer);
  void SetBytes(const brood_value& value);
  void Written(uint32_t value_kind, uint64_t writer) {
    image_->value_kind = value_kind;
    image_->writer = writer;
    ++image_->version;
  }
  void LockShared(uint64_t job_key);
  void UnlockShared();
  void Mend(int code);

  const std::string name_;
  SharedCell* const shared_;
  const size_t block_bytes_;
  CellLock lock_;  // of a private one
  CellImage own_image_;
  std::unique_ptr<char[]> own_bytes_;
  size_t capacity_;

  CellImage* const image_;
  WatchPlace watch_place_;
};

}  // namespace brood
