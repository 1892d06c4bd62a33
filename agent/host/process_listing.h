// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <vector>

#include "brood/v1/host_service.pb.h"

namespace brood {

// Processes and threads in one answer: some 600 KiB at the worst.
inline constexpr int kListedProcessesMax = 16'384;

// The roots and all that is below them, from /proc. Takes milliseconds.
v1::ListProcessesResponse ListProcesses(const std::vector<pid_t>& roots, bool threads);

}  // namespace brood
