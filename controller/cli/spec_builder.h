// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "brood/v1/job_service.pb.h"
#include "common/base/error.h"
#include "controller/cli/context.h"
#include "controller/cli/run_options.h"

namespace brood::cli {

// Makes the job specs of one run. A value; for one thread.
class SpecBuilder {
 public:
  // INVALID_ARGUMENT, naming the option, for what no spec can be made of. A local
  // command gets the environment, directory and file mode mask of this process.
  static Result<SpecBuilder> Create(const RunOptions& options, const Context& context);

  // Twelve characters, new for every run.
  const std::string& run_id() const { return run_id_; }

  // What all of its jobs have in common.
  const v1::JobSpec& spec() const { return spec_; }

  // The run's only job on a host: its id is the run's.
  v1::JobSubmission Job() const;
  // The job of line `number` (from 1) of --each: {} is replaced in every word, or the
  // line added as the last word if no word has one.
  v1::JobSubmission JobOfLine(uint64_t number, const std::string& line) const;

 private:
  std::string run_id_;
  v1::JobSpec spec_;
  bool has_braces_ = false;
};

}  // namespace brood::cli
