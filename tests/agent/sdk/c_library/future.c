/* SPDX-License-Identifier: Apache-2.0
 *
 * A library of an ABI that does not exist yet: to be refused.
 */
#include "agent/sdk/task.h"

static const brood_library kLibrary = {BROOD_TASK_ABI_VERSION + 1,
                                       sizeof(brood_library),
                                       "future",
                                       NULL,
                                       0,
                                       sizeof(brood_task),
                                       NULL,
                                       0,
                                       sizeof(brood_variable),
                                       NULL,
                                       0,
                                       sizeof(brood_mutex)};

const brood_library* brood_task_library(void) { return &kLibrary; }
