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
  explicit Cell(std::string_view name);  // private
  explicit Cell(SharedCell* shared);     // that must live as long as this
  // A block of private memory; its value is its first bytes, for ever, and nobody sets it.
  Cell(std::string_view name, char* block, size_t bytes, uint64_t writer);
  ~Cell();
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  void Lock(uint64_t job_key) {
    const int code = pthread_mutex_lock(mutex_);
    if (code != 0) Mend(code);
    holder_->store(job_key, std::memory_order_relaxed);
  }
  // By CLOCK_MONOTONIC: no clock that somebody sets makes it wait for less, or longer.
  bool LockUntil(const timespec& until, uint64_t job_key);
  void Unlock() {
    holder_->store(0, std::memory_order_relaxed);
    pthread_mutex_unlock(mutex_);
  }
  // Job key of who holds the lock; 0: nobody, or somebody who is no job.
  uint64_t holder() const { return holder_->load(std::memory_order_relaxed); }

  brood_value Get() const;
  // Counts as one write. BROOD_TOO_LARGE or BROOD_WRONG_TYPE, and nothing is changed, for what is
  // no value; BROOD_WRONG_KIND for a block.
  int Set(const brood_value& value, uint64_t writer);

  const std::string& name() const { return name_; }
  bool shared() const { return shared_ != nullptr; }
  // Of a block; else 0.
  size_t block_bytes() const { return block_bytes_; }
  const CellImage& image() const { return *image_; }
  // Of a scalar's value for ever the same, of bytes as long as they fit.
  uint64_t address() const;
  WatchPlace* watch_place() { return &watch_place_; }

 private:
  void SetBytes(const brood_value& value);
  void Mend(int code);

  const std::string name_;
  SharedCell* const shared_;
  const size_t block_bytes_;
  pthread_mutex_t own_mutex_;
  std::atomic<uint64_t> own_holder_{0};
  CellImage own_image_;
  std::unique_ptr<char[]> own_bytes_;
  size_t capacity_;

  pthread_mutex_t* const mutex_;
  std::atomic<uint64_t>* const holder_;
  CellImage* const image_;
  WatchPlace watch_place_;
};

}  // namespace brood
