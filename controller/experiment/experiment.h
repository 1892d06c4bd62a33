// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "brood/v1/event.pb.h"
#include "brood/v1/job.pb.h"
#include "controller/experiment/expression.h"

namespace brood {

// Where something stands in a file, from 1.
struct Place {
  uint32_t line = 0;
  uint32_t column = 0;
};

// What a step does.
enum class StepKind {
  kStartParent,
  kCall,
  kRun,
  kWait,
  kRead,
  kEndParent,
  kCancel,
  kSignal,
};

// One step of an experiment; which fields mean something is said by its kind.
struct Step {
  StepKind kind = StepKind::kCall;
  Place place;
  // What later steps and claims call it: the job or group, the parent, the reading.
  std::string name;
  // The parent that it is about; empty: the host's default parent.
  std::string parent;

  // kStartParent.
  std::vector<std::string> libraries;
  bool watch = false;
  std::vector<std::string> watched_cells;  // none: all
  // kCall, kRun: everything but id, run and parent.
  v1::JobSpec spec;
  uint32_t times = 1;
  bool up_to = false;  // fewer, if the host has not so many free slots
  // kWait: the job, group or parent, and the event.
  std::string target;
  std::string event;
  int64_t within_ns = 0;
  // kRead.
  std::string cell;
  bool copies = false;
  // kEndParent.
  v1::ParentEnd how = v1::PARENT_END_RETURN;
  // kSignal.
  int32_t signal = 0;
};

// Something that is said of what was observed, and how it is checked.
struct Claim {
  Place place;
  std::string says;
  // True: it shows that the others could have failed.
  bool control = false;
  std::vector<Expression> checks;
};

// Something that is shown, and not judged.
struct Figure {
  std::string name;
  Expression value;
};

struct Experiment {
  std::string name;
  std::string title;
  std::string says;
  std::vector<Step> steps;
  std::vector<Claim> claims;
  std::vector<Figure> figures;
};

}  // namespace brood
