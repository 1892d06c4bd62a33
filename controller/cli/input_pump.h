// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "common/base/event_loop.h"
#include "controller/client/fan_out.h"

namespace brood::cli {

// `run -i`: copies standard input to the jobs, the same bytes to each, one piece of at
// most 64 KiB at a time: the next is read when all have taken the last. End-of-file
// closes their inputs. For the loop's thread.
class InputPump {
 public:
  // Begins once each of `hosts` is either added or given up.
  InputPump(EventLoop& loop, FanOut& fan_out, int in_fd, size_t hosts);
  ~InputPump();
  InputPump(const InputPump&) = delete;
  InputPump& operator=(const InputPump&) = delete;

  // The host has accepted this job.
  void AddJob(size_t host, const std::string& job_id);
  // The host's job has ended or never was. Any number of times.
  void GiveUp(size_t host);
  // The host's call took the last piece; `open` false: and wants no more.
  void OnTaken(size_t host, bool open);

 private:
  void Proceed();
  void Read();

  EventLoop& loop_;
  FanOut& fan_out_;
  const int fd_;
  size_t undecided_;
  std::map<size_t, bool> decided_;
  // Of those who still take input: the job, and whether a piece is under way.
  struct Target {
    std::string job_id;
    bool busy = false;
  };
  std::map<size_t, Target> targets_;
  bool waiting_ = false;
  bool end_ = false;
};

}  // namespace brood::cli
