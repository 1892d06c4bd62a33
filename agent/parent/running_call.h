// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/parent/cell_store.h"
#include "agent/parent/gate.h"
#include "agent/sdk/task.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/error.h"

namespace brood {
class RunningCall;
}  // namespace brood

// What a task gets to hold of its job.
struct brood_job {
  brood::RunningCall* call;
};

namespace brood {

// A call while it runs, on a thread or in a forked child: what is the same for
// both. Used by the job's own thread.
class RunningCall {
 public:
  // `arguments` point into `job`.
  RunningCall(internal::v1::StartJob job, const brood_task* task, CellStore* cells);
  virtual ~RunningCall() = default;
  RunningCall(const RunningCall&) = delete;
  RunningCall& operator=(const RunningCall&) = delete;

  // Checks the arguments; before Run.
  Status Bind();

  // Runs the task; what escapes from it becomes "threw". Returns a BROOD_TASK_… that is known.
  int Run();

  // The services behind brood_host that differ.
  virtual void Progress(double fraction, std::string_view text) = 0;
  virtual int Write(int stream, std::string_view bytes) = 0;
  virtual bool StopRequested() const = 0;
  virtual int Sleep(int64_t nanoseconds) = 0;
  virtual bool is_thread() const = 0;

  int SetReturned(const brood_value& value);
  void SetThrown(std::string_view text);

  const internal::v1::StartJob& job() const { return job_; }
  uint64_t job_key() const { return job_.job_key(); }
  CellStore* cells() const { return cells_; }
  CellUser cell_user() { return CellUser{&mark_, job_key()}; }
  std::string* kept() { return &kept_; }
  bool in_gate() const { return mark_.inside(); }
  bool wrote_watched() const { return mark_.wrote_watched; }

  // What came of it: for RETURNED kind and bytes of the value, for THREW the text.
  uint32_t result_kind() const { return result_kind_; }
  const std::string& result_bytes() const { return result_; }
  const std::string& thrown() const { return thrown_; }

 private:
  const internal::v1::StartJob job_;
  const brood_task* const task_;
  CellStore* const cells_;
  std::vector<brood_value> arguments_;
  brood_job handle_{this};
  CellMark mark_;
  std::string kept_;  // what the last cell call handed out
  uint32_t result_kind_ = BROOD_NULL;
  std::string result_;
  std::string thrown_;
};

// The functions that tasks call.
const brood_host* TaskHost();

// Writes all of it to a blocking descriptor: BROOD_OK, or BROOD_FAILED with errno.
int WriteAll(int fd, std::string_view bytes);

}  // namespace brood
