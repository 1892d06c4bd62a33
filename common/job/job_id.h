// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "common/base/error.h"

namespace brood {

// Ok if `id` is [A-Za-z0-9][A-Za-z0-9._-]{0,63}: the grammar of job ids, run ids and parents'
// names, chosen so that each is safe as a file name and in a shell. Else an error that names
// `field`.
Status ValidateJobId(std::string_view field, std::string_view id);

}  // namespace brood
