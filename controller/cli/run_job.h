// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "brood/v1/job.pb.h"
#include "brood/v1/value.pb.h"
#include "controller/cli/each_feed.h"
#include "controller/cli/line_output.h"
#include "controller/cli/lost_output.h"

namespace brood::cli {

// What a foreground run knows of one job that has not ended.
struct RunJob {
  size_t host = 0;
  EachLine line;  // of --each
  bool accepted = false;
  // The fold of its events.
  v1::Job job;
  // What its call returned, exactly.
  std::optional<v1::Value> returned;
  LineOutput out;
  LineOutput err;
  LostOutput lost_out = {};
  LostOutput lost_err = {};
};

}  // namespace brood::cli
