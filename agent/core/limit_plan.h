// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/core/effect.h"
#include "brood/v1/job.pb.h"
#include "common/job/resource_limits.h"

namespace brood {

// How this host holds the limits of a spec, which CheckLimitsHere says that it can: by the kernel's
// limits of each process, which go into the frame, and by control groups, which the effect asks
// for. Of two limits that come to the same here the smaller one counts.
void PlanLimits(const v1::JobSpec& spec, const LimitSupport& support, StartJobEffect* start);

}  // namespace brood
