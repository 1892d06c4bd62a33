// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/outbox/slot_file.h"
#include "brood/internal/v1/frames.pb.h"

namespace brood {

inline constexpr uint64_t kAllSignals = ~uint64_t{0};

struct ChildLimit {
  int resource = 0;
  rlimit value{};
};

// What a new process does before the user's code: plain data, prepared before it
// is created, because between clone and exec it shares our memory and may only
// make system calls.
struct ChildSetup {
  StartSlot* slot = nullptr;
  int input = -1;  // become 0, 1 and 2; all above 2
  int output = -1;
  int error = -1;
  const char* directory = nullptr;      // null: stays
  const char* const* groups = nullptr;  // files of control groups to enter
  size_t group_count = 0;
  bool sets_umask = false;
  mode_t umask = 0;
  const ChildLimit* limits = nullptr;
  size_t limit_count = 0;
  uint64_t signals = kAllSignals;  // those that get their default action, a bit each
};

// The limits a job asked for, after `files`: the descriptor limit that this
// process was started with, which it has raised for itself.
std::vector<ChildLimit> ChildLimits(const internal::v1::StartJob& job, const rlimit& files);

// The files of the control groups that the job's process is to enter; they point into `job`.
std::vector<const char*> ChildGroups(const internal::v1::StartJob& job);

// Before a fork: what of a call's set-up would fail in the child, as far as can be
// seen from here, and its errno; kNone if nothing. Commands need no such look: they
// have not started until they have executed.
ChildStep FindSetupFault(const internal::v1::StartJob& job, int* error_number);

// "cannot enter the working directory 'x': …" for such a step. `what`: the job, as "'ls'" or
// "the call".
std::string SetupSentence(const internal::v1::StartJob& job, const std::string& what,
                          ChildStep step, int error_number);

// The signals that have another action than the default one now.
uint64_t FindChangedSignals();

// In the child, its first act: pid and time to the slot; then control groups, session, signals,
// streams, limits, directory, umask. False: the slot says step and errno. To be
// called with all signals blocked; returns with none blocked.
bool SetUpChild(const ChildSetup& setup);

// In the child: says in the slot what failed.
void NoteChildFailure(StartSlot* slot, ChildStep step, int error_number);

}  // namespace brood
