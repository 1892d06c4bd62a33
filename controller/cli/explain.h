// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "controller/cli/context.h"
#include "controller/cli/run_options.h"
#include "controller/cli/spec_builder.h"

namespace brood::cli {

// `run --explain`: for each host the mode that the job would be run in, and why; runs
// nothing. Returns the exit code: 125 if a host would refuse the job.
int Explain(const RunOptions& options, const SpecBuilder& builder,
            const std::vector<HostAddress>& hosts, Context& context);

}  // namespace brood::cli
