// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/tls.h"

#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <ctime>
#include <utility>
#include <vector>

#include "agent/rpc/access.h"
#include "agent/rpc/role_policy.h"
#include "common/rpc/grpc_status.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// New files are looked for so often: three small reads.
constexpr unsigned kLookSeconds = 2;
constexpr char kPathKey[] = ":path";

// Every call over TLS passes here, whatever its service. (Interceptors cannot refuse one.)
class CallGuard final : public grpc::AuthMetadataProcessor {
 public:
  explicit CallGuard(const TlsSettings& settings)
      : policy_(settings.configuration, settings.identity.realm, settings.roles) {}

  // It reads a small file once a second at most.
  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    const auto path = metadata.find(kPathKey);
    std::vector<std::string> uris;
    for (const grpc::string_ref& uri : context->FindPropertyValues("peer_uri")) {
      uris.emplace_back(uri.data(), uri.size());
    }
    const Result<Identity> caller = IdentityAmong(uris);
    if (!caller) return Refuse(caller.error());
    if (path == metadata.end()) {
      return Refuse(
          Error{ErrorCode::kPermissionDenied, "NOT_ALLOWED", "a call without a path", ""});
    }
    const v1::Role role =
        caller->kind == PeerKind::kUser ? policy_.RoleOf(*caller) : v1::ROLE_UNSPECIFIED;
    const Status denied = JudgeCall({path->second.data(), path->second.size()}, *caller, role);
    return denied ? Refuse(*denied) : grpc::Status::OK;
  }

 private:
  static grpc::Status Refuse(const Error& why) {
    spdlog::warn("refused: {}", why.message);
    return ToGrpcStatus(why);
  }

  RolePolicy policy_;
};

}  // namespace

Result<TlsSettings> LoadTlsSettings(const TlsFiles& files, const std::string& configuration) {
  Result<Configuration> read = LoadConfiguration(configuration);
  if (!read) return read.error();
  const Result<TlsMaterial> material =
      LoadTlsFiles(files, PeerKind::kAgent, static_cast<int64_t>(std::time(nullptr)));
  if (!material) return material.error();
  return TlsSettings{files, material->identity, configuration, std::move(read->roles)};
}

std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsSettings& settings) {
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          settings.files.key, settings.files.certificate, settings.files.ca, kLookSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  std::shared_ptr<grpc::ServerCredentials> credentials =
      grpc::experimental::TlsServerCredentials(options);
  credentials->SetAuthMetadataProcessor(std::make_shared<CallGuard>(settings));
  return credentials;
}

}  // namespace brood
