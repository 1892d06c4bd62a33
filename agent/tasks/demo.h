// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>

#include "agent/sdk/task.hpp"

namespace demo {

// Cells, objects and statics: what is shared, and what is copied.
void AddMemoryTasks(brood::Library& library);

// A lock that a fork may inherit while it is held.
void AddLockTasks(brood::Library& library);

// Work, output, waiting and ends of all kinds.
void AddWorkTasks(brood::Library& library);

// Adds a task, and NAME.main: the same work, but a thread call does it on the parent's main thread.
template <typename Callable>
void AddAlsoOnMain(brood::Library& library, const std::string& name, const std::string& summary,
                   std::initializer_list<const char*> parameters, Callable callable,
                   uint32_t flags = 0) {
  library.Add(name, summary, parameters, callable, flags);
  library.Add(name + ".main", summary, parameters, callable, flags | brood::kOnMainThread);
}

// Works for so long, saying how far it is; throws Stopped when asked to stop.
void HoldFor(brood::Job& job, double seconds);

}  // namespace demo
