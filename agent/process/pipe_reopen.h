// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/base/unique_fd.h"

namespace brood {

// Opens, to read without blocking, the pipe with this inode among the descriptors of a process that
// is not ours; nothing if it has none, or may not be looked at. What is in the pipe is read as if
// its reader had never gone. The caller makes sure that the pid is still the process it means.
UniqueFd ReopenPipe(pid_t pid, uint64_t inode);

}  // namespace brood
