// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/tls/identity.h"

namespace brood {

// Whether who answered is the one who was asked for: the agent of this host, of one's own realm. By
// the URIs of a certificate that the authority has vouched for. UNAUTHENTICATED says who it is
// instead, and what to do.
Status JudgeAgent(const std::vector<std::string>& uris, const std::string& realm,
                  const std::string& host);

}  // namespace brood
