// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/cell_store.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "agent/outbox/slot_file.h"
#include "agent/parent/limits.h"
#include "agent/parent/value.h"
#include "common/base/lie.h"

namespace brood {
namespace {

// The numbers of brood.v1.CellKind.
constexpr int32_t kCellKindPrivate = 1;
constexpr int32_t kCellKindShared = 2;
constexpr int32_t kCellKindVariable = 3;
constexpr int32_t kCellKindBlock = 4;

int32_t KindOf(const Cell& cell) {
  if (cell.block_bytes() > 0) return kCellKindBlock;
  return cell.shared() && !Lies(Lie::kSharedCell) ? kCellKindShared : kCellKindPrivate;
}

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

CellStore::CellStore(Gate* gate, SharedCells* shared, WatchWriter* watch)
    : gate_(gate), shared_(shared), watch_(watch) {}
CellStore::~CellStore() = default;

// A cell's lock, and who has it.
class CellStore::Holding {
 public:
  Holding(Cell* cell, uint64_t job_key) : cell_(cell) { cell_->Lock(job_key); }
  ~Holding() { cell_->Unlock(); }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;

 private:
  Cell* const cell_;
};

// Those that others made: the parent, or a fork of it.
void CellStore::TakeShared() {
  if (shared_ == nullptr) return;
  for (const size_t count = shared_->count(); taken_shared_ < count; ++taken_shared_) {
    SharedCell* const cell = shared_->at(taken_shared_);
    // Who has a private one of that name keeps it.
    cells_.try_emplace(cell->name, std::make_unique<Cell>(cell));
  }
}

Cell* CellStore::Find(std::string_view name) {
  const std::lock_guard lock(mutex_);
  TakeShared();
  const auto found = cells_.find(name);
  return found != cells_.end() ? found->second.get() : nullptr;
}

int CellStore::FindOrMake(std::string_view name, Cell** cell) {
  const std::lock_guard lock(mutex_);
  TakeShared();
  const auto found = cells_.find(name);
  if (found != cells_.end()) {
    *cell = found->second.get();
    return BROOD_OK;
  }
  if (cells_.size() >= kCellsMax) return BROOD_TOO_LARGE;
  if (Lies(Lie::kSharedCell) && shared_ != nullptr && shared_->FindOrMake(name) != nullptr) {
    TakeShared();
    *cell = cells_.find(name)->second.get();
    return BROOD_OK;
  }
  *cell =
      cells_.emplace(name, std::make_unique<Cell>(name, gate_->asymmetric())).first->second.get();
  return BROOD_OK;
}

int CellStore::Share(CellUser user, const char* name) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  if (shared_ == nullptr) return BROOD_WRONG_KIND;
  const Gate::Pass pass(gate_, user.mark);
  if (const Cell* const known = Find(name)) return known->shared() ? BROOD_OK : BROOD_WRONG_KIND;
  if (shared_->FindOrMake(name) == nullptr) return BROOD_TOO_LARGE;
  // A private one may have been made meanwhile: it stays.
  const Cell* const made = Find(name);
  return made != nullptr && made->shared() ? BROOD_OK : BROOD_WRONG_KIND;
}

int CellStore::Show(CellUser user, const char* name, uint32_t type, const void* address) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  return variables_.Show(name, type, address);
}

int CellStore::ShowMutex(CellUser user, const char* name, const pthread_mutex_t* mutex) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  return mutexes_.Add(name, mutex);
}

// What a write costs that nobody watches: this, the gate, and the cell's own lock.
inline int CellStore::Change(CellUser user, Cell* cell, const brood_value& value) {
  if (watch_ == nullptr || !watch_->Watches(cell->name(), cell->watch_place())) {
    return cell->Set(value, user.job_key);
  }
  return ChangeWatched(user, cell, value);
}

int CellStore::ChangeWatched(CellUser user, Cell* cell, const brood_value& value) {
  const bool is_new = cell->image().version == 0;
  const brood_value old = cell->Get();
  const std::string before = is_new ? std::string() : ToValueBytes(old);
  if (const int refused = cell->Set(value, user.job_key)) return refused;
  const std::string after = ToValueBytes(cell->Get());
  WatchedWrite write;
  write.cell = cell->name();
  write.writer = user.job_key;
  write.version = cell->image().version;
  write.address = cell->address();
  write.image_address = reinterpret_cast<uintptr_t>(&cell->image());
  write.shared = cell->shared();
  write.before_kind = static_cast<uint16_t>(is_new ? 0 : old.type);
  write.after_kind = static_cast<uint16_t>(value.type);
  write.before = before;
  write.after = after;
  watch_->Add(write, cell->watch_place());
  if (user.mark != nullptr) user.mark->wrote_watched = true;
  return BROOD_OK;
}

int CellStore::ReadHeld(const Cell& cell, std::string* keep, brood_value* value) {
  // Made by a write that was then refused, or only opened or shared: nobody has written it yet.
  if (cell.image().version == 0) return BROOD_NO_SUCH_CELL;
  *value = KeepValue(cell.Get(), keep);
  return BROOD_OK;
}

int CellStore::AddHeld(CellUser user, Cell* cell, int64_t delta, int64_t* now) {
  if (cell->block_bytes() > 0) return BROOD_WRONG_KIND;
  const brood_value before = cell->Get();
  if (cell->image().version > 0 && before.type != BROOD_INT) return BROOD_WRONG_TYPE;
  brood_value sum{};
  sum.type = BROOD_INT;
  // Wraps around, as the hardware's does: a sum that cannot be stored is not an error here.
  sum.integer =
      static_cast<int64_t>(static_cast<uint64_t>(before.integer) + static_cast<uint64_t>(delta));
  if (const int refused = Change(user, cell, sum)) return refused;
  if (now != nullptr) *now = sum.integer;
  return BROOD_OK;
}

int CellStore::Open(CellUser user, const char* name, Cell** cell) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  return FindOrMake(name, cell);
}

int CellStore::Read(CellUser user, Cell* cell, std::string* keep, brood_value* value) {
  const Gate::Pass pass(gate_, user.mark);
  const Holding holding(cell, user.job_key);
  return ReadHeld(*cell, keep, value);
}

int CellStore::Write(CellUser user, Cell* cell, const brood_value& value) {
  const Gate::Pass pass(gate_, user.mark);
  const Holding holding(cell, user.job_key);
  return Change(user, cell, value);
}

int CellStore::Add(CellUser user, Cell* cell, int64_t delta, int64_t* now) {
  const Gate::Pass pass(gate_, user.mark);
  const Holding holding(cell, user.job_key);
  return AddHeld(user, cell, delta, now);
}

int CellStore::Read(CellUser user, const char* name, std::string* keep, brood_value* value) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  Cell* const cell = Find(name);
  if (cell == nullptr) return BROOD_NO_SUCH_CELL;
  const Holding holding(cell, user.job_key);
  return ReadHeld(*cell, keep, value);
}

int CellStore::Write(CellUser user, const char* name, const brood_value& value) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  if (const int refused = CheckValue(value)) return refused;
  const Gate::Pass pass(gate_, user.mark);
  Cell* cell = nullptr;
  if (const int refused = FindOrMake(name, &cell)) return refused;
  const Holding holding(cell, user.job_key);
  return Change(user, cell, value);
}

int CellStore::Add(CellUser user, const char* name, int64_t delta, int64_t* now) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  Cell* cell = nullptr;
  if (const int refused = FindOrMake(name, &cell)) return refused;
  const Holding holding(cell, user.job_key);
  return AddHeld(user, cell, delta, now);
}

int CellStore::Update(CellUser user, const char* name, brood_cell_change change, void* context,
                      std::string* keep, brood_value* after) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  Cell* cell = nullptr;
  if (const int refused = FindOrMake(name, &cell)) return refused;
  const Holding holding(cell, user.job_key);
  if (cell->block_bytes() > 0) return BROOD_WRONG_KIND;
  const brood_value before = cell->Get();
  if (const int refused = Change(user, cell, change(&before, context))) return refused;
  if (after != nullptr) *after = KeepValue(cell->Get(), keep);
  return BROOD_OK;
}

int CellStore::Block(CellUser user, const char* name, size_t bytes, uint32_t flags,
                     void** address) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const Gate::Pass pass(gate_, user.mark);
  const std::lock_guard lock(mutex_);
  TakeShared();
  const auto found = cells_.find(name);
  if (found != cells_.end()) {
    *address = blocks_.Find(name, bytes, flags);
    return *address != nullptr ? BROOD_OK : BROOD_WRONG_KIND;
  }
  if (cells_.size() >= kCellsMax) return BROOD_TOO_LARGE;
  if (const int refused = blocks_.Make(name, bytes, flags, address)) return refused;
  cells_.emplace(name, std::make_unique<Cell>(name, gate_->asymmetric(),
                                              static_cast<char*>(*address), bytes, user.job_key));
  return BROOD_OK;
}

// A name that was asked for, and what has it.
struct CellStore::Wanted {
  std::string name;
  Cell* cell = nullptr;
  ShownVariables::Variable variable;  // if there is no cell
};

std::vector<CellStore::Wanted> CellStore::FindWanted(const internal::v1::ReadMemory& request) {
  const std::map<std::string, ShownVariables::Variable> variables = variables_.all();
  std::vector<Wanted> wanted;
  const std::lock_guard lock(mutex_);
  TakeShared();
  for (const std::string& name : request.cells()) {
    Wanted& one = wanted.emplace_back();
    one.name = name;
    const auto cell = cells_.find(name);
    const auto variable = variables.find(name);
    if (cell != cells_.end()) {
      one.cell = cell->second.get();
    } else if (variable != variables.end()) {
      one.variable = variable->second;
    }
  }
  if (!request.cells().empty()) return wanted;
  for (const auto& [name, cell] : cells_) wanted.push_back(Wanted{name, cell.get(), {}});
  for (const auto& [name, variable] : variables) {
    if (!request.variables()) break;
    if (cells_.count(name) == 0) wanted.push_back(Wanted{name, nullptr, variable});
  }
  std::sort(wanted.begin(), wanted.end(),
            [](const Wanted& one, const Wanted& other) { return one.name < other.name; });
  return wanted;
}

void CellStore::Answer(const internal::v1::ReadMemory& request, NameJob name_job, void* context,
                       internal::v1::MemoryAnswer* answer) {
  answer->set_request(request.request());
  timespec until{};
  ::clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += kCellReadWaitNanos / 1'000'000'000;
  size_t bytes = 0;
  for (const Wanted& wanted : FindWanted(request)) {
    Cell* const cell = wanted.cell;
    if (cell != nullptr && !cell->LockUntil(until, 0)) {
      answer->set_error("the cell '" + wanted.name + "' is being changed by " +
                        name_job(context, cell->holder()) +
                        " for too long; try again, or end that job");
      return;
    }
    const bool written = cell != nullptr && cell->image().version > 0;
    const bool shown = cell == nullptr && wanted.variable.address != nullptr;
    if (written || shown) {
      bytes += (written ? cell->image().size : 0) + kCellNameBytesMax;
      answer->set_truncated(
          (request.limit() > 0 && static_cast<uint32_t>(answer->cells_size()) == request.limit()) ||
          bytes > kMemoryAnswerBytesMax);
      if (!answer->truncated()) {
        internal::v1::Cell* const told = answer->add_cells();
        told->set_name(wanted.name);
        if (written) {
          told->set_kind(KindOf(*cell));
          told->set_block_bytes(cell->block_bytes());
          told->set_address(cell->address());
          told->set_image_address(reinterpret_cast<uintptr_t>(&cell->image()));
          told->set_version(cell->image().version);
          SetProtoValue(cell->Get(), told->mutable_value());
        } else {
          told->set_kind(kCellKindVariable);
          told->set_address(reinterpret_cast<uintptr_t>(wanted.variable.address));
          told->set_variable_type(static_cast<int32_t>(wanted.variable.type));
          SetProtoValue(ShownVariables::Read(wanted.variable), told->mutable_value());
        }
      }
    }
    if (cell != nullptr) cell->Unlock();
    if (answer->truncated()) return;
    if (!written && !shown && !request.cells().empty()) {
      answer->clear_cells();
      answer->set_missing_cell(wanted.name);
      return;
    }
  }
}

}  // namespace brood
