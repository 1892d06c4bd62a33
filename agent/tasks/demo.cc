// SPDX-License-Identifier: Apache-2.0
//
// The shipped task library: small tasks that do real work or show one fact each.
#include "agent/tasks/demo.h"

BROOD_TASK_LIBRARY("demo", library) {
  demo::AddMemoryTasks(library);
  demo::AddLockTasks(library);
  demo::AddWorkTasks(library);
}
