// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/access.h"

#include <string>
#include <utility>

namespace brood {
namespace {

struct Row {
  // Of one method, or with a slash at its end of a whole service.
  std::string_view path;
  bool users = false;
  bool agents = false;
  v1::Role least_role = v1::ROLE_UNSPECIFIED;
};

constexpr Row kRows[] = {
#include "brood/v1/access_table.inc"
};

const Row* FindRow(std::string_view path) {
  for (const Row& row : kRows) {
    const bool whole_service = row.path.back() == '/';
    if (whole_service ? path.substr(0, row.path.size()) == row.path : path == row.path) return &row;
  }
  return nullptr;
}

const char* RoleWord(v1::Role role) {
  switch (role) {
    case v1::ROLE_OPERATOR:
      return "operator";
    case v1::ROLE_VIEWER:
      return "viewer";
    default:
      return "none";
  }
}

Error Denied(const Identity& caller, const std::string& why) {
  std::string message = "'";
  message += caller.Uri() + "' " + why;
  return Error{ErrorCode::kPermissionDenied, "NOT_ALLOWED", std::move(message), ""};
}

}  // namespace

Status JudgeCall(std::string_view path, const Identity& caller, v1::Role role) {
  const std::string method(path.substr(path.rfind('/') + 1));
  const Row* const row = FindRow(path);
  if (row == nullptr) return Denied(caller, "may not call " + method + ": nobody may");
  if (caller.kind == PeerKind::kAgent) {
    if (row->agents) return Ok();
    return Denied(caller, "is an agent, and may not call " + method +
                              "; use the certificate of a user (`brood certs issue user NAME`)");
  }
  if (!row->users) return Denied(caller, "is a user, and may not call " + method);
  if (role >= row->least_role) return Ok();
  return Denied(caller, std::string("has the role ") + RoleWord(role) + " here, and " + method +
                            " needs " + RoleWord(row->least_role) +
                            "; [roles] of the configuration of this host's agent says so");
}

}  // namespace brood
