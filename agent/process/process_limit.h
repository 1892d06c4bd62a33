// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace brood {

// Whether RLIMIT_NPROC binds the processes of this user: not root's, nor who may exceed limits.
bool ProcessLimitBinds();

}  // namespace brood
