// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/tls/certificate.h"
#include "common/tls/identity.h"
#include "controller/certs/certificate_maker.h"

namespace brood {

// A realm outlives its hosts; its key never leaves one machine.
inline constexpr int kAuthorityDays = 3'650;
// A year, which is what machines can be visited in; people's keys get about more.
inline constexpr int kAgentDays = 365;
inline constexpr int kUserDays = 90;

// A certificate that was issued, and where it stands, with its key.
struct Issued {
  Identity identity;
  std::string file;
  std::string pem;  // what the file holds: key and certificate
  Certificate certificate;
};

// A certificate authority in a folder of its own, 0700:
//
//   ca.pem           its certificate: everybody gets it
//   ca.key           its key, 0600: nobody does
//   agents/NAME.pem  what it has issued, certificate and key in one file, 0600
//   users/NAME.pem
//
// For one thread, and one process at a time.
class Authority {
 public:
  // Makes it. ALREADY_EXISTS if there is one.
  static Result<Authority> Init(const std::string& folder, const std::string& realm, int days,
                                int64_t now);
  // NOT_FOUND if there is none there.
  static Result<Authority> Open(const std::string& folder);

  // Issues a certificate. ALREADY_EXISTS, changing nothing, if that identity has one. It ends with
  // the authority's own at the latest.
  Result<Issued> Issue(PeerKind kind, const std::string& name,
                       const std::vector<std::string>& addresses, int days, int64_t now) const;

  // Another key and certificate for the same identity and addresses, for as long as the last one,
  // in its place. NOT_FOUND if it has none.
  Result<Issued> Rotate(PeerKind kind, const std::string& name, int64_t now) const;

  // All that it has issued, by kind and name.
  Result<std::vector<Issued>> List() const;

  const std::string& realm() const { return realm_; }
  std::string certificate_file() const { return folder_ + "/ca.pem"; }
  const std::string& certificate_pem() const { return own_.certificate; }
  const Certificate& certificate() const { return certificate_; }

 private:
  Authority(std::string folder, std::string realm, KeyAndCertificate own, Certificate certificate);
  std::string FileOf(PeerKind kind, const std::string& name) const;
  Result<Issued> Make(const Identity& identity, const std::vector<std::string>& addresses,
                      Validity validity) const;

  std::string folder_;
  std::string realm_;
  KeyAndCertificate own_;
  Certificate certificate_;
};

}  // namespace brood
