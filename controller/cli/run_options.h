// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "brood/v1/job.pb.h"
#include "common/base/error.h"
#include "controller/cli/command.h"
#include "controller/cli/context.h"
#include "controller/client/each_host.h"
#include "controller/client/resume_core.h"

namespace brood::cli {

// When output lines carry the host's name.
enum class Labels { kAuto, kAlways, kNever };

// Hosts that run at once, if --fanout does not say: as many as clush has, and as the other commands
// ask at once. With a connection and two files each that is far below a shell's 1,024 descriptors,
// and enough that a few hosts that hang leave the way free for the others.
inline constexpr size_t kFanoutDefault = kHostsAtOnce;

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
  std::optional<size_t> fanout;  // hosts
  bool gather = false;           // --gather, or --diff
  bool diff = false;
  std::optional<size_t> max_failed;  // --max-failed; --fail-fast is 0
  std::string out_directory;         // --outdir
  OutputFormat format = OutputFormat::kText;
  Labels labels = Labels::kAuto;
  std::vector<std::string> limits;      // name=value
  std::vector<std::string> job_labels;  // key=value
  std::vector<std::string> words;       // CMD ARG…, or the call's arguments
};

// Declares the options of a run on many hosts: --fanout, --gather, --diff, --fail-fast,
// --max-failed, --outdir.
void AddFanOptions(CLI::App& app, RunOptions& options);
// INVALID_ARGUMENT, naming both, for such an option beside one that it makes no sense with.
Status CheckFanOptions(const RunOptions& options);

}  // namespace brood::cli
