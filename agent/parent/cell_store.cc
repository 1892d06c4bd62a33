// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/cell_store.h"

#include <bit>
#include <chrono>
#include <cstring>
#include <utility>

#include "agent/outbox/slot_file.h"
#include "agent/parent/limits.h"
#include "agent/parent/value.h"

namespace brood {
namespace {

// A text's first buffer: a longer one moves it to another address.
constexpr size_t kFirstBufferBytes = 256;

bool GoodName(const char* name) {
  if (name == nullptr || *name == '\0') return false;
  size_t size = 0;
  for (; name[size] != '\0'; ++size) {
    const char c = name[size];
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-';
    if (!good || size == kCellNameBytesMax) return false;
  }
  return true;
}

}  // namespace

struct CellStore::Cell {
  std::timed_mutex mutex;
  std::atomic<uint64_t> holder{0};  // job key of who holds the mutex
  uint32_t type = BROOD_NULL;
  union {
    int64_t integer = 0;
    double number;
  };
  std::unique_ptr<char[]> bytes;
  size_t size = 0;
  size_t capacity = 0;
  uint64_t version = 0;

  brood_value Get() const {
    brood_value value{};
    value.type = type;
    if (type == BROOD_FLOAT) {
      value.number = number;
    } else if (HasBytes(type)) {
      value.data = bytes.get();
      value.size = size;
    } else {
      value.integer = integer;
    }
    return value;
  }

  int Set(const brood_value& value) {
    if (const int refused = CheckValue(value)) return refused;
    if (value.type == BROOD_FLOAT) {
      number = value.number;
    } else if (HasBytes(value.type)) {
      SetBytes(value);
    } else {
      integer = value.type == BROOD_BOOL ? value.integer != 0 : value.integer;
      if (value.type == BROOD_NULL) integer = 0;
    }
    type = value.type;
    ++version;
    return BROOD_OK;
  }

  // The new bytes may be part of the old ones.
  void SetBytes(const brood_value& value) {
    if (value.size > capacity || bytes == nullptr) {
      const size_t grown =
          std::bit_ceil(value.size < kFirstBufferBytes ? kFirstBufferBytes : value.size);
      std::unique_ptr<char[]> larger(new char[grown]);
      if (value.size > 0) std::memcpy(larger.get(), value.data, value.size);
      bytes = std::move(larger);
      capacity = grown;
    } else if (value.size > 0) {
      std::memmove(bytes.get(), value.data, value.size);
    }
    size = value.size;
  }

  uint64_t Address() const {
    const void* const place = HasBytes(type) ? static_cast<const void*>(bytes.get()) : &integer;
    return reinterpret_cast<uintptr_t>(place);
  }
};

CellStore::CellStore(Gate* gate) : gate_(gate) {}
CellStore::~CellStore() = default;

// A cell's lock, and who has it.
class CellStore::Holding {
 public:
  Holding(Cell* cell, uint64_t job_key) : cell_(cell) {
    cell_->mutex.lock();
    cell_->holder.store(job_key, std::memory_order_relaxed);
  }
  ~Holding() {
    cell_->holder.store(0, std::memory_order_relaxed);
    cell_->mutex.unlock();
  }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;

 private:
  Cell* const cell_;
};

CellStore::Cell* CellStore::Find(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = cells_.find(name);
  return found != cells_.end() ? found->second.get() : nullptr;
}

int CellStore::FindOrMake(std::string_view name, Cell** cell) {
  const std::lock_guard lock(mutex_);
  const auto found = cells_.find(name);
  if (found != cells_.end()) {
    *cell = found->second.get();
    return BROOD_OK;
  }
  if (cells_.size() == kCellsMax) return BROOD_TOO_LARGE;
  *cell = cells_.emplace(name, std::make_unique<Cell>()).first->second.get();
  return BROOD_OK;
}

int CellStore::Read(const CellUser& user, const char* name, std::string* keep, brood_value* value) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  Cell* const cell = Find(name);
  if (cell == nullptr) return BROOD_NO_SUCH_CELL;
  const Holding holding(cell, user.job_key);
  // Made by a write that was then refused: nobody has written it yet.
  if (cell->version == 0) return BROOD_NO_SUCH_CELL;
  *value = KeepValue(cell->Get(), keep);
  return BROOD_OK;
}

int CellStore::Write(const CellUser& user, const char* name, const brood_value& value) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  if (const int refused = CheckValue(value)) return refused;
  const Gate::Pass pass(gate_, user.mark);
  Cell* cell = nullptr;
  if (const int refused = FindOrMake(name, &cell)) return refused;
  const Holding holding(cell, user.job_key);
  return cell->Set(value);
}

int CellStore::Add(const CellUser& user, const char* name, int64_t delta, int64_t* now) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  Cell* cell = nullptr;
  if (const int refused = FindOrMake(name, &cell)) return refused;
  const Holding holding(cell, user.job_key);
  if (cell->version > 0 && cell->type != BROOD_INT) return BROOD_WRONG_TYPE;
  brood_value sum{};
  sum.type = BROOD_INT;
  // Wraps around, as the hardware's does: a sum that cannot be stored is not an error here.
  sum.integer =
      static_cast<int64_t>(static_cast<uint64_t>(cell->integer) + static_cast<uint64_t>(delta));
  if (const int refused = cell->Set(sum)) return refused;
  if (now != nullptr) *now = sum.integer;
  return BROOD_OK;
}

int CellStore::Update(const CellUser& user, const char* name, brood_cell_change change,
                      void* context, std::string* keep, brood_value* after) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  Cell* cell = nullptr;
  if (const int refused = FindOrMake(name, &cell)) return refused;
  const Holding holding(cell, user.job_key);
  const brood_value before = cell->Get();
  if (const int refused = cell->Set(change(&before, context))) return refused;
  if (after != nullptr) *after = KeepValue(cell->Get(), keep);
  return BROOD_OK;
}

void CellStore::Answer(const internal::v1::ReadMemory& request, NameJob name_job, void* context,
                       internal::v1::MemoryAnswer* answer) {
  answer->set_request(request.request());
  // By the wall clock, for the reason that Gate::Close gives.
  const auto until =
      std::chrono::system_clock::now() + std::chrono::nanoseconds(kCellReadWaitNanos);
  std::vector<std::pair<std::string, Cell*>> wanted;
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : request.cells()) {
      const auto found = cells_.find(name);
      wanted.emplace_back(name, found != cells_.end() ? found->second.get() : nullptr);
    }
    if (request.cells().empty()) {
      for (const auto& [name, cell] : cells_) wanted.emplace_back(name, cell.get());
    }
  }
  size_t bytes = 0;
  for (const auto& [name, cell] : wanted) {
    if (cell != nullptr && !cell->mutex.try_lock_until(until)) {
      answer->set_error("the cell '" + name + "' is being changed by " +
                        name_job(context, cell->holder.load(std::memory_order_relaxed)) +
                        " for too long; try again, or end that job");
      return;
    }
    const bool written = cell != nullptr && cell->version > 0;
    if (written) {
      bytes += cell->size + kCellNameBytesMax;
      answer->set_truncated(
          (request.limit() > 0 && static_cast<uint32_t>(answer->cells_size()) == request.limit()) ||
          bytes > kMemoryAnswerBytesMax);
      if (!answer->truncated()) {
        internal::v1::Cell* const told = answer->add_cells();
        told->set_name(name);
        told->set_address(cell->Address());
        told->set_version(cell->version);
        SetProtoValue(cell->Get(), told->mutable_value());
      }
    }
    if (cell != nullptr) cell->mutex.unlock();
    if (answer->truncated()) return;
    if (!written && !request.cells().empty()) {
      answer->clear_cells();
      answer->set_missing_cell(name);
      return;
    }
  }
}

}  // namespace brood
