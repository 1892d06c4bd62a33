// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/base/error.h"
#include "common/tls/tls_files.h"

namespace brood {

// What an identity may do on a host; each all that those before it may.
enum class RoleName { kNone, kViewer, kOperator };

// The file that BROOD_CONFIG names. All of it is optional, paths are relative to its folder:
//
//   [agent]                          # how the agent of this machine shows who it is
//   certificate = "certs/agent.pem"
//   key = "certs/agent.pem"          # without it the certificate's file
//   ca = "certs/ca.pem"
//   [user]                           # and how whoever runs `brood` does
//   certificate = "certs/user.pem"
//   [roles]                          # on this machine's agent; users are operators without it
//   "brood://brood/user/eve" = "viewer"
struct Configuration {
  TlsFiles agent;
  TlsFiles user;
  std::map<std::string, RoleName> roles;  // by identity
};

// A file that is not there is an empty one. INVALID_ARGUMENT with file, line and what is wrong.
Result<Configuration> LoadConfiguration(const std::string& path);
// The same of a text; `path` names it in messages, and its folder.
Result<Configuration> ParseConfiguration(std::string_view text, const std::string& path);

}  // namespace brood
