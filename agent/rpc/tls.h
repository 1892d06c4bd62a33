// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <map>
#include <memory>
#include <string>

#include "common/tls/configuration.h"
#include "common/tls/tls_files.h"

namespace brood {

// How an agent shows who it is, and whom it lets in.
struct TlsSettings {
  TlsFiles files;
  Identity identity;
  // The file with the roles, and what it says by now.
  std::string configuration;
  std::map<std::string, RoleName> roles;
};

// Reads and checks what an agent's configuration says.
Result<TlsSettings> LoadTlsSettings(const TlsFiles& files, const std::string& configuration);

// TLS 1.2 or later, for clients with a certificate of the same authority only; each call is judged
// by kind and role before its method hears of it. Files that are replaced are taken within seconds,
// for connections from then on.
std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsSettings& settings);

}  // namespace brood
