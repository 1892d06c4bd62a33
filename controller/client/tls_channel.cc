// SPDX-License-Identifier: Apache-2.0
#include "controller/client/tls_channel.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <ctime>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/tls/tls_files.h"
#include "controller/client/peer_check.h"

namespace brood {
namespace {

// Comes after the authority's signature was checked.
class AgentCheck final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  AgentCheck(std::string realm, std::string host)
      : realm_(std::move(realm)), host_(std::move(host)) {}

  // True: the answer is there at once.
  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>, grpc::Status* answer) override {
    std::vector<std::string> uris;
    for (const grpc::string_ref& uri : request->uri_names())
      uris.emplace_back(uri.data(), uri.size());
    const Status wrong = JudgeAgent(uris, realm_, host_);
    *answer =
        wrong ? grpc::Status(grpc::StatusCode::UNAUTHENTICATED, wrong->message) : grpc::Status::OK;
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::string realm_;
  const std::string host_;
};

}  // namespace

Result<std::shared_ptr<grpc::ChannelCredentials>> MakeTlsChannelCredentials(
    const HostAddress& address) {
  Result<TlsMaterial> own =
      LoadTlsFiles(*address.tls, PeerKind::kUser, static_cast<int64_t>(std::time(nullptr)));
  if (!own) return own.error();
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
          own->ca_pem, std::vector<grpc::experimental::IdentityKeyCertPair>{
                           {own->key_pem, own->certificate_pem}}));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  options.set_certificate_verifier(
      grpc::experimental::ExternalCertificateVerifier::Create<AgentCheck>(own->identity.realm,
                                                                          address.name));
  // By DNS name or address, which say less than the identity.
  options.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace brood
