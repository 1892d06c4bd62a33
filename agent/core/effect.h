// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agent/journal/journal.h"
#include "brood/internal/v1/frames.pb.h"
#include "brood/v1/job.pb.h"

namespace brood {

// A life of a parent.
struct ParentKey {
  std::string name;
  uint64_t incarnation = 0;
  auto operator<=>(const ParentKey&) const = default;
};

// What the core wants done. Performed in order, after the records decided with
// them are in the journal; each may be repeated without harm.
struct StartJobEffect {
  ParentKey parent;
  internal::v1::StartJob job;
  // Where its output is kept in another way than that of most: to be prepared before.
  std::optional<v1::OutputSettings> output;
  // Limits of all its processes together, which need control groups: made, and put into the frame,
  // before it is sent.
  std::optional<uint64_t> memory_bytes;
  std::optional<uint64_t> processes;
};
// A signal to a job's leader or group: through its parent while that lives,
// else by pid and start. The answer is OnSignalled.
struct SignalJobEffect {
  ParentKey parent;
  bool parent_lives = false;
  uint64_t job_key = 0;
  int32_t pid = 0;
  int64_t start_ns = 0;
  int32_t signal = 0;
  bool whole_group = false;
};
struct StopCallEffect {
  ParentKey parent;
  uint64_t job_key = 0;
};
// Stop, scan, kill, repeat over the job's tree; or only look what is left of it.
// The answer is OnTree.
struct TreeEffect {
  uint64_t job_key = 0;
  std::string job_id;
  int32_t pid = 0;
  int64_t start_ns = 0;
  bool kill = false;
};
// The parent of this process has ended: who is its parent process now? The answer
// is OnReparented; none if it is gone by then.
struct AdopterEffect {
  uint64_t job_key = 0;
  int32_t pid = 0;
  int64_t start_ns = 0;
};
// Does the parent know these jobs? The answer is OnUnknownToParent, for those it does not.
struct AskKnownEffect {
  ParentKey parent;
  std::vector<uint64_t> job_keys;
};
// All of the job's output is read: its parent may let go.
struct DrainedEffect {
  ParentKey parent;
  uint64_t job_key = 0;
};
struct StartParentEffect {
  ParentKey parent;
  std::vector<std::string> libraries;
  uint32_t call_slots = 0;
};
struct EndParentEffect {
  ParentKey parent;
  int32_t how = 0;  // brood.v1.ParentEnd
};
// SIGKILL by the supervisor: for a parent that reads no frames any more.
struct KillParentEffect {
  ParentKey parent;
};
// The job is forgotten, or there is no room for its output: delete that.
struct ForgetJobEffect {
  uint64_t job_key = 0;
};

using Effect = std::variant<StartJobEffect, SignalJobEffect, StopCallEffect, TreeEffect,
                            AdopterEffect, AskKnownEffect, DrainedEffect, StartParentEffect,
                            EndParentEffect, KillParentEffect, ForgetJobEffect>;

// What a step decided: facts to write, then things to do.
struct Batch {
  // Serialized environments of jobs, to be kept before the records are written.
  std::vector<std::pair<uint64_t, std::string>> environments;
  std::vector<JournalRecord> records;
  // Jobs whose environment nobody needs any more, once the records are written.
  std::vector<uint64_t> spent_environments;
  std::vector<Effect> effects;
  // The records have to be on the disk, and OnSynced be told so: durable jobs are among them.
  bool sync = false;
  bool empty() const { return records.empty() && effects.empty(); }
};

}  // namespace brood
