// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/cell.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/parent/limits.h"
#include "agent/parent/value.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BROOD_CELL_SEEN_BY_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define BROOD_CELL_SEEN_BY_SANITIZER 1
#endif

namespace brood {
namespace {

// A text's first buffer: a longer one moves it to another address.
constexpr size_t kFirstBufferBytes = 256;

// The sanitizer does not know that clocklock takes the mutex; timedlock has the wall clock's time.
int LockByMonotonic(pthread_mutex_t* mutex, const timespec& until) {
#ifdef BROOD_CELL_SEEN_BY_SANITIZER
  timespec monotonic{};
  timespec wall{};
  ::clock_gettime(CLOCK_MONOTONIC, &monotonic);
  ::clock_gettime(CLOCK_REALTIME, &wall);
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t at = (wall.tv_sec - monotonic.tv_sec + until.tv_sec) * kSecond + wall.tv_nsec -
                     monotonic.tv_nsec + until.tv_nsec;
  const timespec wall_until{at / kSecond, at % kSecond};
  return pthread_mutex_timedlock(mutex, &wall_until);
#else
  return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
#endif
}

}  // namespace

Cell::Cell(std::string_view name, bool asymmetric) : Cell(name, asymmetric, nullptr, 0, 0) {}

Cell::Cell(std::string_view name, bool asymmetric, char* block, size_t bytes, uint64_t writer)
    : name_(name),
      shared_(nullptr),
      block_bytes_(bytes),
      lock_(asymmetric),
      capacity_(0),
      image_(&own_image_) {
  if (block == nullptr) return;
  own_image_.value_kind = BROOD_BYTES;
  own_image_.data = reinterpret_cast<uintptr_t>(block);
  own_image_.size = std::min(bytes, kBlockShownBytes);
  own_image_.version = 1;
  own_image_.writer = writer;
}

Cell::Cell(SharedCell* shared)
    : name_(shared->name),
      shared_(shared),
      block_bytes_(0),
      lock_(false),
      capacity_(sizeof(shared->bytes)),
      image_(&shared->image) {}

void Cell::LockShared(uint64_t job_key) {
  Mend(pthread_mutex_lock(&shared_->mutex));
  shared_->holder.store(job_key, std::memory_order_relaxed);
}

void Cell::UnlockShared() {
  shared_->holder.store(0, std::memory_order_relaxed);
  pthread_mutex_unlock(&shared_->mutex);
}

void Cell::Mend(int code) {
  if (code != EOWNERDEAD) return;
  // A process ended while it changed the cell: what stands there is the value now, and it
  // counts as a write, so that a reader sees that something happened.
  if (image_->sequence % 2 != 0) {
    ++image_->version;
    const Changing mended(image_);
  }
  pthread_mutex_consistent(&shared_->mutex);
}

bool Cell::LockUntil(const timespec& until, uint64_t job_key) {
  if (shared_ == nullptr) return lock_.LockUntil(until, job_key);
  const int code = LockByMonotonic(&shared_->mutex, until);
  if (code != 0 && code != EOWNERDEAD) return false;
  Mend(code);
  shared_->holder.store(job_key, std::memory_order_relaxed);
  return true;
}

brood_value Cell::Get() const {
  brood_value value{};
  value.type = image_->value_kind;
  if (value.type == 0) value.type = BROOD_NULL;
  if (value.type == BROOD_FLOAT) {
    value.number = std::bit_cast<double>(image_->scalar);
  } else if (HasBytes(value.type)) {
    value.data = reinterpret_cast<const char*>(image_->data);
    value.size = image_->size;
  } else {
    value.integer = image_->scalar;
  }
  return value;
}

int Cell::SetOther(const brood_value& value, uint64_t writer) {
  if (block_bytes_ > 0) return BROOD_WRONG_KIND;
  if (const int refused = CheckValue(value)) return refused;
  const Changing changing(image_);
  if (value.type == BROOD_INT) {
    image_->scalar = value.integer;
  } else if (HasBytes(value.type)) {
    SetBytes(value);
  } else if (value.type == BROOD_FLOAT) {
    image_->scalar = std::bit_cast<int64_t>(value.number);
  } else if (value.type == BROOD_BOOL) {
    image_->scalar = value.integer != 0;
  } else {
    image_->scalar = 0;
  }
  Written(value.type, writer);
  return BROOD_OK;
}

// The new bytes may be part of the old ones.
void Cell::SetBytes(const brood_value& value) {
  if (shared_ == nullptr && (value.size > capacity_ || own_bytes_ == nullptr)) {
    const size_t grown =
        std::bit_ceil(value.size < kFirstBufferBytes ? kFirstBufferBytes : value.size);
    std::unique_ptr<char[]> larger(new char[grown]);
    if (value.size > 0) std::memcpy(larger.get(), value.data, value.size);
    own_bytes_ = std::move(larger);
    capacity_ = grown;
  } else if (value.size > 0) {
    std::memmove(shared_ != nullptr ? shared_->bytes : own_bytes_.get(), value.data, value.size);
  }
  image_->data =
      reinterpret_cast<uintptr_t>(shared_ != nullptr ? shared_->bytes : own_bytes_.get());
  image_->size = value.size;
}

uint64_t Cell::address() const {
  return HasBytes(image_->value_kind) ? image_->data : reinterpret_cast<uintptr_t>(&image_->scalar);
}

}  // namespace brood
