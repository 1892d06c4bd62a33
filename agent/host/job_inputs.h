// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood {

// The write ends of the jobs' standard inputs. A chunk is written as the job
// reads: one chunk per job waits here, and its writer is told when it is gone.
class JobInputs {
 public:
  // False: the job has closed its input, or has ended; the chunk was not taken.
  using Written = std::function<void(bool taken)>;

  explicit JobInputs(EventLoop* loop) : loop_(loop) {}

  // Thread-safe; the work is done in the loop's thread. A chunk for a job whose
  // input has not come yet waits for it. One writer a job: a second chunk before
  // the first is gone is refused (false).
  void Write(uint64_t job_key, std::string bytes, Written written);
  void Close(uint64_t job_key);

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
  };
  void Push(uint64_t job_key);
  void Shut(uint64_t job_key, Input* input);

  EventLoop* const loop_;
  std::unordered_map<uint64_t, Input> inputs_;  // the loop's thread alone
};

}  // namespace brood
