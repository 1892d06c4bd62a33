// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "controller/client/host_address.h"
#include "controller/lab/job_story.h"
#include "controller/lab/twin_facts.h"

namespace brood {

// Rounds that are kept and shown: each is two jobs and two siblings.
inline constexpr int kTwinRoundsMax = 100;

// What is run as both.
struct TwinCall {
  // LIBRARY.TASK, and its arguments as words.
  std::string task;
  std::vector<std::string> words;
  // The parent to run in, which stays; empty: one of its own, which is started and ended.
  std::string parent;
  // The cell to look at; empty: the call's argument CELL, if the task has one.
  std::string cell;
  // True: the cell is this run's own and is made, as 0, before the first round.
  bool makes_cell = false;
  int rounds = 5;
  // Part of the names of jobs and parents; no other run may have it.
  std::string run_id;
};

// Runs a call as thread and as fork at once, on several hosts, and reads what can be
// read before, meanwhile and after. What it started is ended when Run returns, also
// after Stop.
class TwinRun {
 public:
  // Called after every step on a host, one host at a time, in threads of Run's.
  using Changed = std::function<void(size_t host, const TwinFacts& facts)>;

  TwinRun(TwinCall call, Changed changed);
  TwinRun(const TwinRun&) = delete;
  TwinRun& operator=(const TwinRun&) = delete;

  // Blocks; once. By host: why it could not be done, or CANCELLED after Stop.
  std::vector<Status> Run(const std::vector<HostAddress>& hosts);

  // Any thread, any time: makes Run cancel its jobs, end its parents and return.
  void Stop();

 private:
  const TwinCall call_;
  const Changed changed_;
  OpenRun open_;
};

}  // namespace brood
