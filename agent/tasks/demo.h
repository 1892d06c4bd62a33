// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/sdk/task.hpp"

namespace demo {

// Cells, objects and statics: what is shared, and what is copied.
void AddMemoryTasks(brood::Library& library);

// Work, output, waiting and ends of all kinds.
void AddWorkTasks(brood::Library& library);

}  // namespace demo
