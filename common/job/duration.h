// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/duration.pb.h>

#include <string>
#include <string_view>

#include "common/base/error.h"

namespace brood {

// "300ms", "1s", "2m", "1.5h", "0": a decimal number and ns, us, ms, s, m, h or d; at most
// ten years. INVALID_ARGUMENT, naming the option in `field`, for anything else.
Result<google::protobuf::Duration> ParseDuration(std::string_view text, const std::string& field);

// For people: "350 ms", "1.2 s", "3 min 5 s", "2 h 4 min".
std::string DurationText(int64_t nanoseconds);

}  // namespace brood
