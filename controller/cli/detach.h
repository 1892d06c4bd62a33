// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "controller/cli/context.h"
#include "controller/cli/run_options.h"
#include "controller/cli/spec_builder.h"

namespace brood::cli {

// `run -d`: submits, prints HOST/ID a line for each job that is in its host's journal,
// in the order of hosts or lines, and returns the exit code: 125 if any was refused.
int Detach(const RunOptions& options, const SpecBuilder& builder,
           const std::vector<HostAddress>& hosts, Context& context);

}  // namespace brood::cli
