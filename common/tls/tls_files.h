// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "common/base/error.h"
#include "common/tls/certificate.h"
#include "common/tls/identity.h"

namespace brood {

// Largest file of certificates or keys that is read.
inline constexpr size_t kTlsFileMax = 1 << 20;

// Where one's own identity and those whom one trusts stand. `certificate` and `key` may be one
// file; that is how `brood certs` writes them, since one file is replaced in one step.
struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string ca;
};

// What stands there, as PEM, checked.
struct TlsMaterial {
  std::string certificate_pem;
  std::string key_pem;
  std::string ca_pem;
  Certificate certificate;
  Identity identity;
};

// Reads and checks them, as far as one can alone: key and certificate belong together, nobody else
// can read the key, it is of this kind, and `now` (seconds since 1970) is within its time. Each
// error names the file and what to do. NOT_FOUND where the certificate's or the authority's file is
// not there.
Result<TlsMaterial> LoadTlsFiles(const TlsFiles& files, PeerKind kind, int64_t now);

// NOT_FOUND where there is none.
Result<std::string> ReadTlsFile(const std::string& path);

}  // namespace brood
