// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace brood {

// A host set (host_set.h) that stands for just these names, and is short: node[07-09],web1. In the
// order of their texts; empty for none. Numbers that are zeros in front alike stand in one range.
std::string FoldHosts(const std::vector<std::string>& names);

}  // namespace brood
