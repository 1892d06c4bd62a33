// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "brood/v1/job.pb.h"
#include "common/base/error.h"

namespace brood::cli {

// The elements of `run -o json`, without the last line's end.

// A job as `brood show` has it, and `"reached": true`; with the error that kept its end from being
// known, unless that is null.
std::string JobJson(const v1::Job& job, const Error* why);
// A host that has no job: {"host": …, "reached": …, "error": {"code", "reason", "message"}}.
std::string HostJson(const std::string& host, bool reached, const Error& why);

}  // namespace brood::cli
