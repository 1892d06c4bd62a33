// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "brood/v1/value.pb.h"

namespace brood {

// What was read of one twin run on one host. Whatever could not be read is absent,
// and nothing here is concluded from a mode.

// The cell, as it was read from outside in the memory of one process.
struct OutsideValue {
  // Whether the process had the write in question in its memory.
  std::optional<bool> has_write;
  std::optional<v1::Value> value;
  // Why it could not be read.
  std::string error;
};

// One of the two jobs of a pair.
struct TwinJob {
  std::string job_id;
  std::optional<int32_t> pid;
  std::optional<int32_t> tid;
  std::optional<int32_t> ppid;
  // What its call returned.
  std::optional<v1::Value> returned;
  // How it ended: "returned 5", "ended with its parent", …
  std::string end;
  std::optional<int64_t> start_ns;
  // Its last write of the cell, as a watch of the cell told of it: where, what the job found
  // there before its first write, and whether the parent's memory had it.
  std::optional<uint64_t> address;
  std::optional<v1::Value> found;
  std::optional<v1::Value> wrote;
  std::optional<OutsideValue> in_parent;
  // Bytes of its own memory: written since it started.
  std::optional<uint64_t> own_bytes;
};

// The cell in the parent, by the parent's own word and from outside.
struct TwinReading {
  std::optional<int32_t> pid;
  std::optional<uint64_t> incarnation;
  std::optional<uint64_t> address;
  std::optional<v1::Value> value;
  std::optional<uint64_t> version;
  std::optional<v1::Value> outside;
  // Why there is no value from outside.
  std::string outside_error;
};

// The same call, as a thread and as a fork at once, and what was read before and after.
struct TwinRound {
  TwinReading before;
  TwinJob thread;
  TwinJob fork;
  TwinReading after;
  // What a thread and a fork that came after them read in the cell.
  std::optional<v1::Value> sibling_thread;
  std::optional<v1::Value> sibling_fork;
};

// One of the pair that was holding when the parent ended.
struct TwinLeftover {
  TwinJob job;
  // Its end was told after that of the parent; unknown if it has none.
  std::optional<bool> ended_after_parent;
  // The kernel ended it with the parent's process.
  std::optional<bool> ended_by_parent;
  // Its parent process afterwards, and that one's name.
  std::optional<int32_t> new_ppid;
  std::string adopter;
};

// The end of the parent that was started for this.
struct TwinEnd {
  std::string parent;
  std::optional<int32_t> pid;
  TwinLeftover thread;
  TwinLeftover fork;
};

struct TwinFacts {
  std::string host;
  // "demo.add twin 1"
  std::string call;
  std::string parent;
  std::optional<int32_t> parent_pid;
  // Empty: none is known that the call writes.
  std::string cell;
  int rounds_wanted = 0;
  std::vector<TwinRound> rounds;
  std::optional<TwinEnd> end;
};

// Whether the two differ in one respect.
enum class TwinVerdict { kDiffer, kSame, kUnknown };

// One respect: a plain sentence, built from what was read.
struct TwinFinding {
  std::string
      topic;  // "process", "start value", "parent", "sibling", "end", "start time", "memory"
  TwinVerdict verdict = TwinVerdict::kUnknown;
  std::string sentence;
};

// One sentence per respect, always all of them, in that order. Pure.
std::vector<TwinFinding> JudgeTwin(const TwinFacts& facts);

// The one in the middle; of an even number the lower one; nothing of none. Pure.
std::optional<int64_t> Median(std::vector<int64_t> numbers);
// The median start times of the rounds' jobs.
std::optional<int64_t> MedianStart(const TwinFacts& facts, TwinJob TwinRound::*job);

// "41 us", "1.2 ms".
std::string ShortTime(int64_t nanos);

}  // namespace brood
