// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/core/effect.h"
#include "brood/v1/event.pb.h"
#include "brood/v1/job.pb.h"

namespace brood {

// One job, as the core knows it. `view` is the fold of its events and nothing
// else; the rest is what the next decision needs. What Core::Replay sets of it
// stands in internal.v1.JobState too, and in core_snapshot.cc.
struct CoreJob {
  uint64_t key = 0;
  v1::Job view;
  uint32_t digest = 0;
  uint64_t seq = 0;           // of its last event
  uint64_t first_cursor = 0;  // of RECEIVED
  uint64_t last_cursor = 0;
  v1::Mode mode = v1::MODE_FORK;  // chosen at its receipt
  std::string reason;
  std::vector<v1::Value> arguments;
  v1::Environment environment;     // until it has started
  bool keeps_environment = false;  // for the next agent too
  int64_t starting_ns = 0;         // CLOCK_BOOTTIME of its attempt: its time-out counts from here
  bool replayed = false;           // an earlier agent took it in
  bool queued_said = false;
  bool waits = false;  // in its line
  ParentKey parent;    // the life it was sent to
  // Of a durable job whose attempt is not known to be on the disk, the cursor of its STARTING: its
  // parent has not been told. 0: none.
  uint64_t unsynced_start = 0;
  std::string boot_id;  // of its attempt

  // From its STARTED note.
  int64_t start_ns = 0;
  int32_t pgid = 0;
  uint32_t slot = UINT32_MAX;

  bool reparented = false;  // said
  uint32_t threads_at_fork = 0;
  std::vector<v1::Hazard> hazards;  // that were seen at its fork
  bool stuck_said = false;

  int64_t progress_ns = 0;  // CLOCK_BOOTTIME of its last progress

  // Its end, as far as it has come.
  bool holds_slot = false;
  bool ended = false;
  bool output_closed = false;
  bool awaits_tree = false;
  std::vector<v1::Unit> survivors;   // said once its output is closed
  uint64_t output_ends[2] = {0, 0};  // kept bytes, told or to be told once it has started
  uint64_t output_counted = 0;       // of what all jobs' output takes
  v1::Stream over_limit = v1::STREAM_UNSPECIFIED;  // the stream that went past its limit
  v1::EndCause cause = v1::END_CAUSE_UNSPECIFIED;
  int64_t kill_grace_ns = 0;
  bool pending_said = false;

  int64_t timeout_at = 0;  // keys into the core's timers; 0: none
  int64_t kill_at = 0;

  bool is_thread() const { return mode == v1::MODE_THREAD; }
  bool started() const { return view.has_pid(); }
};

}  // namespace brood
