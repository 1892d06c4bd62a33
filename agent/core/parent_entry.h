// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/core/effect.h"
#include "agent/core/fact.h"
#include "brood/internal/v1/snapshot.pb.h"
#include "brood/v1/parent_service.pb.h"

namespace brood {

// A named parent: its present life, and what waits for it.
struct ParentEntry {
  ParentKey key;  // incarnation: of the present or last life; 0 before the first
  v1::ParentState state = v1::PARENT_STATE_ENDED;
  v1::Unit unit;
  int64_t start_wall_ns = 0;
  uint64_t seq = 0;  // of its last own event in this life
  // What its own events have told: what the next agent will know of it.
  internal::v1::ParentLife told;
  std::vector<std::string> asked_libraries;
  std::vector<std::string> libraries;
  std::map<std::string, v1::Task> tasks;  // kept over lives: the libraries are the same
  v1::ParentEnd asked_end = v1::PARENT_END_UNSPECIFIED;
  bool of_other_boot = false;
  bool ending_said = false;
  bool answers = false;  // this agent: it has what its jobs' streams are
  // Jobs that wait, by key, so in the order of their receipt: processes, threads.
  std::set<uint64_t> lines[2];
  // Jobs that were sent to this life and have not ended: processes, threads.
  std::set<uint64_t> live[2];
  // Ends of its processes, by who adopted them, that came before its own: at most one a job.
  std::vector<OrphanFact> early_orphans;
};

inline constexpr char kDefaultParent[] = "default";

}  // namespace brood
