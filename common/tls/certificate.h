// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"
#include "common/tls/identity.h"

typedef struct x509_st X509;  // OpenSSL's

namespace brood {

// What brood looks at in an X.509 certificate. Times are seconds since 1970.
struct Certificate {
  std::vector<std::string> uris;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;  // as people write them
  std::string common_name;                // for people; nothing rests on it
  int64_t not_before = 0;
  int64_t not_after = 0;
  bool is_authority = false;
  // SHA-256 of the whole, in hexadecimal.
  std::string fingerprint;
};

// The first certificate of a PEM text. INVALID_ARGUMENT if there is none.
Result<Certificate> ParseCertificate(std::string_view pem);
Certificate ReadCertificate(const X509* certificate);

// Whether the text's first private key is that of the other's first certificate.
bool KeyFits(std::string_view certificate_pem, std::string_view key_pem);

// "is valid until 2026-01-31 12:00:00 UTC, and it is now ...", "is not valid before …"; empty if it
// is valid at that time.
std::string WrongTime(const Certificate& certificate, int64_t now);
// What to do about that.
std::string CureForTime(const Certificate& certificate, int64_t now, const Identity& identity);

// "2026-01-31 12:00:00 UTC".
std::string TimeText(int64_t seconds);

}  // namespace brood
