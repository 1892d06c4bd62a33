// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "brood/v1/job.pb.h"
#include "common/base/error.h"

namespace brood {

// Ok if the spec keeps every rule that job.proto states; else INVALID_ARGUMENT for the first that
// it breaks, with the field's path ("spec.command.argv[3]"), the value and the cure. Reason:
// INVALID_FIELD, or UNSUPPORTED_IN_MODE where MODE_THREAD is asked for what only a process can
// have. Whether a task exists, and takes these arguments, is not known here (call_arguments.h).
Status ValidateJobSpec(const v1::JobSpec& spec);

}  // namespace brood
