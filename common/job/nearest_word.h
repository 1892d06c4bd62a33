// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace brood {

// The one of `known` that `word` was probably meant to be: with the fewest letters to
// insert, delete, replace or exchange, at most a third of its length; empty if none is so near.
std::string NearestWord(std::string_view word, const std::vector<std::string>& known);

}  // namespace brood
