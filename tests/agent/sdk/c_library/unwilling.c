/* SPDX-License-Identifier: Apache-2.0
 *
 * A library that does not want to be loaded.
 */
#include "agent/sdk/task.h"

const brood_library* brood_task_library(void) { return NULL; }
