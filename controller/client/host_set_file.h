// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "common/base/error.h"

namespace brood {

// One host set (host_set.h) of all that stand in a file, one a line; what follows '#' is not read.
// INVALID_ARGUMENT (field "hosts") if it cannot be read, has none or is longer than
// kHostSetTextMax.
Result<std::string> ReadHostSetFile(const std::string& path);

}  // namespace brood
