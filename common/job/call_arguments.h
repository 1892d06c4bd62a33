// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "brood/v1/job.pb.h"
#include "brood/v1/parent_service.pb.h"
#include "common/base/error.h"

namespace brood {

// The call's arguments as the task declares them: words read as the declared type, whole numbers
// widened where a number is declared, any kind turned into JSON where JSON is. Optional parameters
// may be missing at the end. Else INVALID_ARGUMENT that names "spec.call.arguments[1]", the
// parameter, the type wanted and what was given.
Result<std::vector<v1::Value>> BindArguments(const v1::Task& task, const v1::Call& call);

}  // namespace brood
