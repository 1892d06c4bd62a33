// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/tls/identity.h"

namespace brood {

// A new key and what was signed for it, both PEM.
struct KeyAndCertificate {
  std::string key;
  std::string certificate;
};

// Seconds since 1970.
struct Validity {
  int64_t from = 0;
  int64_t until = 0;
};

// An authority of this realm that signs itself: a key on the curve P-256, and a certificate that
// may sign others and nothing else.
Result<KeyAndCertificate> MakeAuthority(const std::string& realm, Validity validity);

// A certificate of that identity, signed by this authority. `names` are the DNS names and addresses
// that it may be reached at. Agents serve and ask, users only ask. INVALID_ARGUMENT for a name that
// is none.
Result<KeyAndCertificate> MakeLeaf(const KeyAndCertificate& authority, const Identity& identity,
                                   const std::vector<std::string>& names, Validity validity);

}  // namespace brood
