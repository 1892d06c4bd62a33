// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "brood/v1/job.pb.h"
#include "controller/cli/context.h"
#include "controller/client/resume_core.h"

namespace brood::cli {

// When output lines carry the host's name.
enum class Labels { kAuto, kAlways, kNever };

// What `brood run` was asked, word for word.
struct RunOptions {
  std::string hosts;  // empty: the local agent
  v1::Mode mode = v1::MODE_AUTO;
  std::string parent;
  bool detach = false;
  bool input = false;
  std::string each;  // FILE, "-", or empty for none
  std::string timeout;
  std::string grace;
  std::vector<std::string> environment;  // NAME=VALUE, or NAME: the caller's value
  std::string directory;
  std::string meter;          // a period
  std::string kill_if_stuck;  // a time
  bool refuse_if_hazard = false;
  bool durable = false;
  v1::OutputTarget output = v1::OUTPUT_TARGET_UNSPECIFIED;
  v1::OutputOverflow output_overflow = v1::OUTPUT_OVERFLOW_UNSPECIFIED;
  std::string output_max;  // a size
  std::string call;        // LIBRARY.TASK, or empty for a command
  bool explain = false;
  ResumePolicy resume;
  OutputFormat format = OutputFormat::kText;
  Labels labels = Labels::kAuto;
  std::vector<std::string> limits;      // name=value
  std::vector<std::string> job_labels;  // key=value
  std::vector<std::string> words;       // CMD ARG…, or the call's arguments
};

}  // namespace brood::cli
