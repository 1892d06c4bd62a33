// SPDX-License-Identifier: Apache-2.0
#include "agent/outbox/slot_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "agent/outbox/note.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/base/planted_bug.h"

namespace brood {
namespace {

constexpr size_t kPage = 4096;

constexpr size_t AreasOffset(uint32_t slots) {
  return kPage + (size_t{slots} * sizeof(StartSlot) + kPage - 1) / kPage * kPage;
}

std::string SlotPath(const std::string& directory) { return directory + "/slots"; }

// The count follows from the size, so that no header has to be believed.
uint32_t CountSlots(const UniqueFd& fd) {
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) return 0;
  const auto size = static_cast<size_t>(info.st_size);
  auto slots = static_cast<uint32_t>(size / (kCallAreaBytes + sizeof(StartSlot)));
  while (slots > 0 && AreasOffset(slots) + size_t{slots} * kCallAreaBytes > size) --slots;
  return slots;
}

bool PreadAll(int fd, void* to, size_t size, size_t offset) {
  return ::pread(fd, to, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

}  // namespace

// Which slots are free, and which areas have disk space already.
class SlotFile::Pool {
 public:
  explicit Pool(uint32_t slots) : allocated_(slots, false) {
    free_.reserve(slots);
    for (uint32_t slot = slots; slot > 0; --slot) free_.push_back(slot - 1);
  }
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  std::vector<uint32_t> free_;
  std::vector<bool> allocated_;
};

Result<std::unique_ptr<SlotFile>> SlotFile::Create(const std::string& directory, uint32_t slots) {
  const std::string path = SlotPath(directory);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  const size_t areas = AreasOffset(slots);
  const size_t size = areas + size_t{slots} * kCallAreaBytes;
  // Disk for the small slots now, for the areas when each is first used.
  const int reserved = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(areas));
  if (reserved != 0) return ErrnoError(reserved, "reserve '" + path + "'");
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
    return ErrnoError(errno, "ftruncate '" + path + "'");
  void* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) return ErrnoError(errno, "mmap '" + path + "'");
  return std::unique_ptr<SlotFile>(
      new SlotFile(static_cast<char*>(mapped), size, slots, std::move(fd)));
}

SlotFile::SlotFile(char* mapped, size_t size, uint32_t slots, UniqueFd fd)
    : mapped_(mapped),
      size_(size),
      slots_(slots),
      fd_(std::move(fd)),
      pool_(std::make_unique<Pool>(slots)) {}

SlotFile::~SlotFile() { ::munmap(mapped_, size_); }

uint32_t SlotFile::Reserve(uint64_t job_key, uint32_t attempt, bool with_area) {
  pthread_mutex_lock(&pool_->mutex);
  uint32_t slot = kNoSlot;
  bool allocated = false;
  if (!pool_->free_.empty()) {
    slot = pool_->free_.back();
    pool_->free_.pop_back();
    allocated = pool_->allocated_[slot];
  }
  pthread_mutex_unlock(&pool_->mutex);
  if (slot == kNoSlot) return kNoSlot;
  if (with_area) {
    if (!allocated) {
      const off_t at = static_cast<off_t>(AreasOffset(slots_) + size_t{slot} * kCallAreaBytes);
      const int reserved =
          FailsAt("slot.reserve") ? errno : ::posix_fallocate(fd_.get(), at, kCallAreaBytes);
      if (reserved != 0) {
        Free(slot);
        errno = ENOSPC;
        return kNoSlot;
      }
      pthread_mutex_lock(&pool_->mutex);
      pool_->allocated_[slot] = true;
      pthread_mutex_unlock(&pool_->mutex);
    }
    std::memset(static_cast<void*>(area(slot)), 0, sizeof(CallArea));
    area(slot)->job_key = job_key;
  }
  StartSlot fresh;
  fresh.job_key = job_key;
  fresh.attempt = attempt;
  *start(slot) = fresh;
  return slot;
}

void SlotFile::Free(uint32_t slot) {
  pthread_mutex_lock(&pool_->mutex);
  pool_->free_.push_back(slot);
  pthread_mutex_unlock(&pool_->mutex);
}

StartSlot* SlotFile::start(uint32_t slot) const {
  return reinterpret_cast<StartSlot*>(mapped_ + kPage) + slot;
}

CallArea* SlotFile::area(uint32_t slot) const {
  return reinterpret_cast<CallArea*>(mapped_ + AreasOffset(slots_) + size_t{slot} * kCallAreaBytes);
}

char* SlotFile::value(uint32_t slot) const {
  return reinterpret_cast<char*>(area(slot)) + kCallValueOffset;
}

LastWords* SlotFile::last_words() const { return reinterpret_cast<LastWords*>(mapped_); }

SlotReader::SlotReader(const std::string& directory)
    : fd_(::open(SlotPath(directory).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)),
      slots_(CountSlots(fd_)) {}

bool SlotReader::ReadLastWords(LastWords* words) const {
  return fd_ && PreadAll(fd_.get(), words, sizeof(*words), 0) && words->committed == 1;
}

bool SlotReader::ReadStart(uint32_t slot, StartSlot* start) const {
  return fd_ && slot < slots_ &&
         PreadAll(fd_.get(), start, sizeof(*start), kPage + size_t{slot} * sizeof(StartSlot));
}

std::vector<StartSlot> SlotReader::ReadStarts() const {
  std::vector<StartSlot> starts(slots_);
  if (!fd_ || !PreadAll(fd_.get(), starts.data(), starts.size() * sizeof(StartSlot), kPage))
    starts.clear();
  return starts;
}

bool SlotReader::ReadArea(uint32_t slot, CallArea* area) const {
  if (!fd_ || slot >= slots_) return false;
  const size_t at = AreasOffset(slots_) + size_t{slot} * kCallAreaBytes;
  const size_t version_at = at + offsetof(CallArea, progress_version);
  uint32_t before = 0;
  uint32_t after = 0;
  // The version by itself, before and after: a copy of the whole may take its parts in any order.
  if (!PreadAll(fd_.get(), &before, sizeof(before), version_at) ||
      !PreadAll(fd_.get(), static_cast<void*>(area), sizeof(*area), at) ||
      !PreadAll(fd_.get(), &after, sizeof(after), version_at)) {
    return false;
  }
  if (before != after || before % 2 != 0) area->progress_version = kTornProgress;
  return true;
}

bool SlotReader::ReadValue(uint32_t slot, const CallArea& area, std::string* value) const {
  if (!fd_ || slot >= slots_ || area.value_size > kValueBytesMax) return false;
  value->resize(area.value_size);
  return PreadAll(fd_.get(), value->data(), value->size(),
                  AreasOffset(slots_) + size_t{slot} * kCallAreaBytes + kCallValueOffset) &&
         Crc32c(value->data(), value->size()) == area.value_crc;
}

std::vector<StartSlot> RevokeStarts(const std::string& directory,
                                    const std::function<bool(uint64_t job_key)>& is_started) {
  const UniqueFd fd(::open(SlotPath(directory).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  const uint32_t slots = CountSlots(fd);
  if (slots == 0) return {};
  const size_t size = AreasOffset(slots);
  void* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) return {};
  std::vector<StartSlot> starts(slots);
  auto* const first = reinterpret_cast<StartSlot*>(static_cast<char*>(mapped) + kPage);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    starts[slot] = first[slot];
    if (is_started(starts[slot].job_key)) continue;
    uint32_t seen = kUnclaimed;
    std::atomic_ref<uint32_t>(first[slot].claim).compare_exchange_strong(seen, kRevoked);
    if (Planted(Bug::kRevokesTheBegun)) first[slot].claim = kRevoked;
    starts[slot] = first[slot];
  }
  ::munmap(mapped, size);
  Failpoint("slots.revoked");
  return starts;
}

}  // namespace brood
