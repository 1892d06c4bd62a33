// SPDX-License-Identifier: Apache-2.0
#include "common/tls/identity.h"

#include <algorithm>
#include <optional>

namespace brood {
namespace {

constexpr std::string_view kScheme = "brood://";
constexpr size_t kNameMax = 253;

// By itself: what std::isalnum says depends on the locale.
bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

const char* PeerKindName(PeerKind kind) { return kind == PeerKind::kAgent ? "agent" : "user"; }

Result<PeerKind> ParsePeerKind(std::string_view word) {
  for (const PeerKind kind : {PeerKind::kUser, PeerKind::kAgent}) {
    if (word == PeerKindName(kind)) return kind;
  }
  return Error{ErrorCode::kInvalidArgument, "BAD_KIND",
               "'" + std::string(word) + "' is no kind of identity; there are user and agent",
               "kind"};
}

std::string Identity::Uri() const {
  return std::string(kScheme) + realm + "/" + PeerKindName(kind) + "/" + name;
}

bool IsIdentityName(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax && IsAlnum(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsAlnum(c) || c == '.' || c == '_' || c == '-'; });
}

Result<Identity> ParseIdentity(std::string_view uri) {
  const Error bad{
      ErrorCode::kInvalidArgument, "BAD_IDENTITY",
      "'" + std::string(uri) + "' is no identity; write brood://REALM/user/NAME or .../agent/NAME",
      "identity"};
  if (uri.substr(0, kScheme.size()) != kScheme) return bad;
  const std::string_view rest = uri.substr(kScheme.size());
  const size_t first = rest.find('/');
  const size_t second = first == rest.npos ? rest.npos : rest.find('/', first + 1);
  if (second == rest.npos) return bad;
  const Result<PeerKind> kind = ParsePeerKind(rest.substr(first + 1, second - first - 1));
  Identity identity{std::string(rest.substr(0, first)), kind ? *kind : PeerKind::kUser,
                    std::string(rest.substr(second + 1))};
  if (!kind || !IsIdentityName(identity.realm) || !IsIdentityName(identity.name)) return bad;
  return identity;
}

Result<Identity> IdentityAmong(const std::vector<std::string>& uris) {
  std::optional<Identity> found;
  for (const std::string& uri : uris) {
    if (std::string_view(uri).substr(0, kScheme.size()) != kScheme) continue;
    Result<Identity> identity = ParseIdentity(uri);
    if (!identity || found) {
      return Error{ErrorCode::kUnauthenticated, "BAD_IDENTITY",
                   "the certificate does not say who it is of: " +
                       (identity ? "it has two identities, '" + found->Uri() + "' and '" + uri + "'"
                                 : identity.error().message),
                   ""};
    }
    found = std::move(*identity);
  }
  if (found) return *std::move(found);
  return Error{ErrorCode::kUnauthenticated, "NO_IDENTITY",
               "the certificate does not say who it is of: no URI among its names is "
               "brood://REALM/KIND/NAME; make one by `brood certs issue`",
               ""};
}

}  // namespace brood
