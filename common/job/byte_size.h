// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/error.h"

namespace brood {

// "65536", "64K", "1.5MiB", "2g": a decimal number and nothing, B, K, M, G or T (with or without iB
// or B), which are powers of 1,024. INVALID_ARGUMENT, naming the option in `field`, for anything
// else.
Result<uint64_t> ParseByteSize(std::string_view text, const std::string& field);

}  // namespace brood
