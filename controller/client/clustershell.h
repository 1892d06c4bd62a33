// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace brood {

// The hosts of a group as this machine's ClusterShell knows them, as a set (host_set.h): what its
// program nodeset says of @group, with the user's own configuration. Nothing if there is no such
// program or group, or no answer within five seconds. Costs the start of a Python.
std::optional<std::string> AskClusterShell(const std::string& group);

}  // namespace brood
