// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "brood/v1/event.pb.h"
#include "brood/v1/job.pb.h"
#include "tests/chaos/ledger.h"

namespace brood::chaos {

// What a job was made to do.
struct Plan {
  int exit_code = 0;     // of a command
  int64_t returned = 0;  // of a call
  std::string output;    // to stdout
  bool is_command = false;
  bool is_thread = false;
  bool is_durable = false;
  bool may_be_cancelled = false;  // somebody asked, or tried to
  // Beside EXITED and RETURNED: it crashes, is signalled, timed out, or cannot be executed.
  std::set<v1::Outcome> may_end_as;
};

// What was seen of a host whose processes were killed now and then.
struct Observed {
  std::map<std::string, Plan> plans;            // of all jobs that were submitted, by id
  std::set<std::string> acknowledged;           // those whose submission was answered
  std::vector<v1::Event> journal;               // from its first event to its last, with output
  std::vector<std::vector<uint64_t>> watchers;  // the cursors that each was handed, from the first
  std::map<std::string, Ledger::Runs> ledger;
  bool parents_died = false;         // not agents only
  bool ends_may_be_unknown = false;  // nobody who waits for orphans lived all the time
  bool disk_was_full = false;        // so that a parent that died may have held notes in its memory
  bool power_was_lost = false;       // and with it what was not synced
  // Where a system call was made to fail: so many jobs were not started, and say so; what a disk
  // did not take of an output was dropped, and counted.
  size_t starts_may_fail = 0;
  bool output_may_be_dropped = false;
};

// What brood promises; a sentence for each breach, at most a few for one rule. Pure. The rules:
//  1. An acknowledged job is in the journal; its events follow the order of docs/events.md, to
//  CLEANED.
//  2. A job that nobody acknowledged is there as a whole, or has not run.
//  3. No job's code begins twice. One that exited or returned has begun and come to its end; one
//  that
//     never started has not begun.
//  4. Exit codes, returned values and output are what the job made; none is unknown, no job is
//  LOST.
//     Where a parent and the agent died at once, an exit code may be unknown, never another.
//  5. Only a job that somebody cancelled ends by it. Where parents died, a thread may end with its
//     own, and a call that was not started by then (it has not begun) may be LOST or fail to start.
//  6. Each watcher is handed every event once, in order.
// A job may also end as its plan says, be LOST unbegun where its time was over or five attempts ran
// nothing, and exit with 127 unbegun where its program could not be executed and its parent died
// just then. After a loss of power 1 holds for the order of events and for durable jobs, 3 for
// durable ones; the rest is not asked.
std::vector<std::string> Judge(const Observed& observed);

}  // namespace brood::chaos
