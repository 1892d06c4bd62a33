// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/sdk/task.hpp"

namespace demo {

// Cells, objects and statics: what is shared, and what is copied.
void AddMemoryTasks(brood::Library& library);

// A lock that a fork may inherit while it is held.
void AddLockTasks(brood::Library& library);

// Work, output, waiting and ends of all kinds.
void AddWorkTasks(brood::Library& library);

// Works for so long, saying how far it is; throws Stopped when asked to stop.
void HoldFor(brood::Job& job, double seconds);

}  // namespace demo
