// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/parent/job_pipes.h"
#include "agent/parent/job_streams.h"
#include "agent/parent/notes.h"
#include "agent/parent/running_call.h"

namespace brood {

// A call on a thread of its own. Its functions are for that thread, except
// RequestStop.
class ThreadCall final : public RunningCall {
 public:
  ThreadCall(internal::v1::StartJob job, const brood_task* task, CellStore* cells, Notes* notes,
             JobStreams* streams)
      : RunningCall(std::move(job), task, cells), notes_(notes), streams_(streams) {}

  // When its creation began: CLOCK_BOOTTIME.
  void set_created_ns(int64_t ns) { created_ns_ = ns; }

  // 0 before it runs; any thread.
  int32_t tid() const { return tid_.load(std::memory_order_relaxed); }

  // Notes, quietly: it runs; and how it ended (a BROOD_TASK_…).
  void NoteStarted();
  void NoteEnded(int ended);

  void RequestStop();

  void Progress(double fraction, std::string_view text) override;
  int Write(int stream, std::string_view bytes) override;
  bool StopRequested() const override { return stop_.load(std::memory_order_acquire) != 0; }
  int Sleep(int64_t nanoseconds) override;
  bool is_thread() const override { return true; }

 private:
  int OpenStreams();
  void NoteProgress();

  Notes* const notes_;
  JobStreams* const streams_;
  int64_t created_ns_ = 0;
  std::atomic<int32_t> tid_{0};
  std::atomic<uint32_t> stop_{0};  // a futex: who sleeps waits for it
  JobPipes pipes_;                 // made by the first write
  // The latest progress, and whether it still has to be noted.
  bool progress_pending_ = false;
  int64_t progress_noted_ns_ = 0;
  double fraction_ = 0;
  std::string progress_text_;
};

}  // namespace brood
