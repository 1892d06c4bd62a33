// SPDX-License-Identifier: Apache-2.0
#pragma once

// For functions that run between clone and exec, in memory shared with us: the
// sanitizers would keep their accounts in it.
#define BROOD_IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))
