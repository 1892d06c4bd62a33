// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood {

// The write ends of the jobs' standard inputs. A chunk is written as the job
// reads: one chunk per job waits here, and its writer is told when it is gone.
class JobInputs {
 public:
  enum class Taken {
    kYes,
    kClosed,  // The job has closed its input, or ended with the chunk waiting here.
    kEnded,   // The job had ended before the chunk came.
  };
  using Written = std::function<void(Taken taken)>;

  // `lives`: whether the job will be told of by Forget; asked in the loop's thread.
  JobInputs(EventLoop* loop, std::function<bool(uint64_t job_key)> lives)
      : loop_(loop), lives_(std::move(lives)) {}

  // Thread-safe; the work is done in the loop's thread. A chunk for a job whose
  // input has not come yet waits for it. One writer a job: a second chunk before
  // the first is gone is refused (kClosed).
  void Write(uint64_t job_key, std::string bytes, Written written);
  void Close(uint64_t job_key);
  // Calls back once, in the loop's thread, when the job has ended: at once if it has already.
  void TellEnd(uint64_t job_key, std::function<void()> ended);

  // In the loop's thread.
  void Attach(uint64_t job_key, UniqueFd write_end);
  void Forget(uint64_t job_key);

 private:
  struct Input {
    UniqueFd fd;
    bool watched = false;
    bool close_when_written = false;
    std::string bytes;
    size_t done = 0;
    Written written;
    std::vector<std::function<void()>> to_tell;  // one of each call that writes
  };
  // Null for a job that has ended: nobody would come to forget it.
  Input* FindOrMake(uint64_t job_key);
  void Push(uint64_t job_key);
  void Shut(uint64_t job_key, Input* input);

  EventLoop* const loop_;
  const std::function<bool(uint64_t job_key)> lives_;
  std::unordered_map<uint64_t, Input> inputs_;  // the loop's thread alone
};

}  // namespace brood
