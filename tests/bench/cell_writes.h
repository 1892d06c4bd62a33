// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/sdk/task.h"

namespace brood::bench {

// Nanoseconds of one write, over `count` of them, by one thread of its own.

// Of a whole number to a cell, as a task does it: through the C++ face of the SDK.
double CellWriteNanos(const brood_host* host, brood_job* job, int count);
// The yardstick: an uncontended std::mutex, locked and unlocked around a plain store.
double LockedStoreNanos(int count);

}  // namespace brood::bench
