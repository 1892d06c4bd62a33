// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace brood {

// What somebody with a certificate is: agents serve, users ask.
enum class PeerKind { kUser, kAgent };

// "user", "agent".
const char* PeerKindName(PeerKind kind);
// INVALID_ARGUMENT with those that there are.
Result<PeerKind> ParsePeerKind(std::string_view word);

// Who a certificate speaks of: brood://REALM/KIND/NAME, as a URI among its alternative names.
struct Identity {
  std::string realm;
  PeerKind kind = PeerKind::kUser;
  std::string name;

  std::string Uri() const;
  bool operator==(const Identity& other) const = default;
};

// Letters, digits, '.', '_' and '-', the first a letter or a digit, at most 253: as a host's name.
bool IsIdentityName(std::string_view name);

// INVALID_ARGUMENT for what is no identity.
Result<Identity> ParseIdentity(std::string_view uri);

// The identity among these URIs. UNAUTHENTICATED if there is none, or more than one: a certificate
// must not choose who it is.
Result<Identity> IdentityAmong(const std::vector<std::string>& uris);

}  // namespace brood
