// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "common/base/error.h"
#include "controller/client/connection.h"
#include "controller/client/host_address.h"

namespace brood {

// How many hosts are asked at once: enough for a rack, few enough to stay far
// below any limit on threads.
inline constexpr size_t kHostsAtOnce = 64;

// Calls `ask` once for every host, up to kHostsAtOnce at a time, each in a thread
// of its own, and returns when all are done. `ask` gets the host's index and an
// open connection, and must guard what it shares. The answer is by host: what
// `ask` returned, or why no connection could be opened.
std::vector<Status> EachHost(const std::vector<HostAddress>& hosts,
                             const std::function<Status(size_t index, Connection&)>& ask);

}  // namespace brood
