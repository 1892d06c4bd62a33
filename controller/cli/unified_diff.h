// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace brood::cli {

// More changed lines than that are not sought for what they have in common: the time it takes
// grows with their square.
inline constexpr size_t kDiffChangesMax = 2'000;

// What makes `to` of `from`, line by line, as `diff -u` tells it from the first "@@" on; empty if
// they are the same. Texts that differ in more than kDiffChangesMax lines are told as one change
// from their first difference to their last. Both end with a line feed, or are empty.
std::string UnifiedDiff(std::string_view from, std::string_view to);

}  // namespace brood::cli
