// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "agent/parent/gate.h"
#include "agent/sdk/task.h"
#include "brood/internal/v1/frames.pb.h"

namespace brood {

// Who uses the cells.
struct CellUser {
  GateMark* mark = nullptr;
  uint64_t job_key = 0;
};

// The cells of a parent: named values in its memory that its threads share and
// its forked calls have a copy of. Each change is one step, and counted. Cells are
// never removed; a scalar's address is the same for ever, a text's as long as it
// fits. Answers are those of brood_host in task.h. Thread-safe.
class CellStore {
 public:
  explicit CellStore(Gate* gate);
  ~CellStore();
  CellStore(const CellStore&) = delete;
  CellStore& operator=(const CellStore&) = delete;

  // `keep` holds the bytes that `value` points to.
  int Read(const CellUser& user, const char* name, std::string* keep, brood_value* value);
  int Write(const CellUser& user, const char* name, const brood_value& value);
  int Add(const CellUser& user, const char* name, int64_t delta, int64_t* now);
  // `after` may be null.
  int Update(const CellUser& user, const char* name, brood_cell_change change, void* context,
             std::string* keep, brood_value* after);

  // For the agent: the named cells, or all, at most `limit` (0: no limit) and
  // kMemoryAnswerBytesMax. Not through the gate: for the thread that forks.
  // `name_job` says in words which job has that key.
  using NameJob = std::string (*)(void* context, uint64_t job_key);
  void Answer(const internal::v1::ReadMemory& request, NameJob name_job, void* context,
              internal::v1::MemoryAnswer* answer);

 private:
  struct Cell;
  using Cells = std::map<std::string, std::unique_ptr<Cell>, std::less<>>;
  class Holding;
  Cell* Find(std::string_view name);
  int FindOrMake(std::string_view name, Cell** cell);

  Gate* const gate_;
  std::mutex mutex_;
  Cells cells_;  // guarded by mutex_; the cells by their own
};

}  // namespace brood
