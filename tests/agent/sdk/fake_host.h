// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/sdk/task.h"

namespace brood::testing {

// A value with bytes of its own.
struct OwnedValue {
  uint32_t type = BROOD_NULL;
  int64_t integer = 0;
  double number = 0;
  std::string data;

  static OwnedValue Copy(const brood_value& value);
  brood_value view() const;
  bool operator==(const OwnedValue&) const = default;
};

OwnedValue Nothing();
OwnedValue Truth(bool value);
OwnedValue Integer(int64_t value);
OwnedValue Number(double value);
OwnedValue Text(std::string value);
OwnedValue Binary(std::string value);
OwnedValue JsonText(std::string value);

// The memory of a parent: its cells. Thread-safe.
class FakeParent {
 public:
  std::optional<OwnedValue> Find(const std::string& name);

 private:
  friend class FakeJob;
  std::mutex mutex_;
  std::map<std::string, OwnedValue> cells_;
  std::set<std::string> opened_;
  std::map<std::string, std::vector<char>> blocks_;
};

// A job of it: what brood_host does to it is kept to be looked at.
class FakeJob {
 public:
  explicit FakeJob(FakeParent* parent);
  FakeJob(const FakeJob&) = delete;
  FakeJob& operator=(const FakeJob&) = delete;

  // Runs a task of the library: BROOD_TASK_…. Fails the process if there is none.
  int Run(const brood_library* library, const std::string& task,
          const std::vector<OwnedValue>& arguments);

  // Every sleep ends with BROOD_STOPPED from then on.
  std::atomic<bool> stop{false};
  // Called in each sleep, before it ends; sleeps take no time.
  void (*on_sleep)(FakeJob* job, int64_t nanoseconds) = nullptr;
  // Not BROOD_OK: what `write` answers.
  int write_answer = BROOD_OK;
  bool is_thread = true;

  std::string out;
  std::string err;
  int writes = 0;
  std::vector<std::pair<double, std::string>> progress;
  OwnedValue result;
  std::string thrown;

  static const brood_host* host();

 private:
  static FakeJob* Of(brood_job* job) { return reinterpret_cast<FakeJob*>(job); }
  static int CellRead(brood_job* job, const char* name, brood_value* value);
  static int CellWrite(brood_job* job, const char* name, const brood_value* value);
  static int CellAdd(brood_job* job, const char* name, int64_t delta, int64_t* now);
  static int CellUpdate(brood_job* job, const char* name, brood_cell_change change, void* context,
                        brood_value* after);
  static void Progress(brood_job* job, double fraction, const char* text, size_t size);
  static int Write(brood_job* job, int stream, const void* data, size_t size);
  static int StopRequested(brood_job* job);
  static int Sleep(brood_job* job, int64_t nanoseconds);
  static int ReturnValue(brood_job* job, const brood_value* value);
  static void ThrowText(brood_job* job, const char* text, size_t size);
  static const char* JobId(brood_job* job);
  static int IsThread(brood_job* job);
  static int CellShare(brood_job* job, const char* name);
  static int ShowVariable(brood_job* job, const char* name, uint32_t type, const void* address);
  static int ShowMutex(brood_job* job, const char* name, const pthread_mutex_t* mutex);
  static int CellOpen(brood_job* job, const char* name, brood_cell** cell);
  static int OpenCellRead(brood_job* job, brood_cell* cell, brood_value* value);
  static int OpenCellWrite(brood_job* job, brood_cell* cell, const brood_value* value);
  static int OpenCellAdd(brood_job* job, brood_cell* cell, int64_t delta, int64_t* now);
  static int CellBlock(brood_job* job, const char* name, size_t bytes, uint32_t flags,
                       void** address);

  FakeParent* const parent_;
  OwnedValue last_read_;
};

// The task of that name, or null.
const brood_task* FindTask(const brood_library* library, const std::string& name);

}  // namespace brood::testing
