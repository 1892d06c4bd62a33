// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "brood/v1/access.pb.h"
#include "common/base/error.h"
#include "common/tls/identity.h"

namespace brood {

// Whether somebody may call a method, by the table made of the services' descriptors when brood was
// built. `path` is "/SERVICE/METHOD"; `role` is of no account for agents. PERMISSION_DENIED with
// who it is and what it would need; also for a method that is not in the table.
Status JudgeCall(std::string_view path, const Identity& caller, v1::Role role);

}  // namespace brood
