// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "agent/outbox/watch_writer.h"
#include "agent/parent/blocks.h"
#include "agent/parent/cell.h"
#include "agent/parent/gate.h"
#include "agent/parent/known_mutexes.h"
#include "agent/parent/shared_cells.h"
#include "agent/parent/shown_variables.h"
#include "agent/sdk/task.h"
#include "brood/internal/v1/frames.pb.h"

namespace brood {

// Of who uses the cells again and again. Used by one thread at a time.
struct CellMark : GateMark {
  using GateMark::GateMark;
  bool wrote_watched = false;  // has put a write into the watch file
};

// Who uses the cells. `mark` may be null: for who does so seldom.
struct CellUser {
  CellMark* mark = nullptr;
  uint64_t job_key = 0;
};

// The cells of a parent: named values in its memory that its threads share. Its
// forked calls have a copy of the private ones, and the shared ones in common with
// it. Each change is one step, and counted. Cells are never removed; a scalar's
// address is the same for ever, a text's as long as it fits. Answers are those of
// brood_host in task.h. Thread-safe.
class CellStore {
 public:
  // Without `shared` no cell can be shared, without `watch` none be watched.
  explicit CellStore(Gate* gate, SharedCells* shared = nullptr, WatchWriter* watch = nullptr);
  ~CellStore();
  CellStore(const CellStore&) = delete;
  CellStore& operator=(const CellStore&) = delete;

  // `keep` holds the bytes that `value` points to.
  int Read(CellUser user, const char* name, std::string* keep, brood_value* value);
  int Write(CellUser user, const char* name, const brood_value& value);
  int Add(CellUser user, const char* name, int64_t delta, int64_t* now);
  // `after` may be null.
  int Update(CellUser user, const char* name, brood_cell_change change, void* context,
             std::string* keep, brood_value* after);

  // The same with a cell that was opened, which saves looking for its name. Opening makes one where
  // none is, but does not write it; it is this store's, and stays.
  int Open(CellUser user, const char* name, Cell** cell);
  int Read(CellUser user, Cell* cell, std::string* keep, brood_value* value);
  int Write(CellUser user, Cell* cell, const brood_value& value);
  int Add(CellUser user, Cell* cell, int64_t delta, int64_t* now);

  // A block of memory with that name: the one that is there, if size and flags are its own, else
  // BROOD_WRONG_KIND; or a new one. BROOD_FAILED, with errno, if there is no memory for it.
  int Block(CellUser user, const char* name, size_t bytes, uint32_t flags, void** address);

  // Makes a cell that forks share, where none is. BROOD_WRONG_KIND if it is there and private.
  int Share(CellUser user, const char* name);
  // A variable that can be read like a cell of that name.
  int Show(CellUser user, const char* name, uint32_t type, const void* address);
  // A mutex that is not brood's, to be told of by known_mutexes().
  int ShowMutex(CellUser user, const char* name, const pthread_mutex_t* mutex);
  const KnownMutexes& known_mutexes() const { return mutexes_; }

  Gate* gate() const { return gate_; }

  // For the agent: the named cells and variables, or all, at most `limit` (0: no limit) and
  // kMemoryAnswerBytesMax. Not through the gate: for the thread that forks.
  // `name_job` says in words which job has that key.
  using NameJob = std::string (*)(void* context, uint64_t job_key);
  void Answer(const internal::v1::ReadMemory& request, NameJob name_job, void* context,
              internal::v1::MemoryAnswer* answer);

 private:
  using Cells = std::map<std::string, std::unique_ptr<Cell>, std::less<>>;
  class Holding;
  struct Wanted;
  Cell* Find(std::string_view name);
  int FindOrMake(std::string_view name, Cell** cell);
  void TakeShared();
  int ReadHeld(const Cell& cell, std::string* keep, brood_value* value);
  int AddHeld(CellUser user, Cell* cell, int64_t delta, int64_t* now);
  [[gnu::always_inline]] int Change(CellUser user, Cell* cell, const brood_value& value);
  int ChangeWatched(CellUser user, Cell* cell, const brood_value& value);
  std::vector<Wanted> FindWanted(const internal::v1::ReadMemory& request);

  Gate* const gate_;
  SharedCells* const shared_;
  WatchWriter* const watch_;
  ShownVariables variables_;
  KnownMutexes mutexes_;
  std::mutex mutex_;
  Cells cells_;              // guarded by mutex_; the cells by their own
  Blocks blocks_;            // guarded by mutex_
  size_t taken_shared_ = 0;  // guarded by mutex_: shared cells that are in cells_
};

}  // namespace brood
