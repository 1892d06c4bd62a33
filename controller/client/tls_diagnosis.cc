// SPDX-License-Identifier: Apache-2.0
#include "controller/client/tls_diagnosis.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>
#include <utility>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"
#include "common/tls/tls_files.h"
#include "controller/client/peer_check.h"

namespace brood {
namespace {

// For all of it: whoever waits for this has waited for gRPC before.
constexpr int64_t kPatienceNanos = 3'000'000'000;

struct Free {
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
  void operator()(SSL* connection) const { ::SSL_free(connection); }
  void operator()(BIO* bio) const { ::BIO_free(bio); }
  void operator()(X509* certificate) const { ::X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
  void operator()(addrinfo* addresses) const { ::freeaddrinfo(addresses); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> Reader(const std::string& pem) {
  return Owned<BIO>(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Whether the descriptor is ready before the time is up.
bool Await(int fd, short events, int64_t give_up_ns) {
  const int64_t left = give_up_ns - BootTimeNanos();
  pollfd wait{fd, events, 0};
  return left > 0 && ::poll(&wait, 1, static_cast<int>(left / 1'000'000) + 1) == 1;
}

UniqueFd ConnectTcp(const std::string& target, int64_t give_up_ns) {
  const size_t colon = target.rfind(':');
  std::string host = target.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (::getaddrinfo(host.c_str(), target.substr(colon + 1).c_str(), &wanted, &list) != 0) return {};
  const Owned<addrinfo> addresses(list);
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    UniqueFd fd(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) continue;
    int error = 0;
    socklen_t size = sizeof(error);
    if (::connect(fd.get(), at->ai_addr, at->ai_addrlen) == 0) return fd;
    if (errno == EINPROGRESS && Await(fd.get(), POLLOUT, give_up_ns) &&
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) {
      return fd;
    }
  }
  return {};
}

// The agent's certificate is looked at after the handshake, so that all that is wrong can be told.
int GoOn(int, X509_STORE_CTX*) { return 1; }

Owned<SSL_CTX> MakeContext(const TlsMaterial& own) {
  Owned<SSL_CTX> context(::SSL_CTX_new(::TLS_client_method()));
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, GoOn);
  const Owned<BIO> ca = Reader(own.ca_pem);
  for (;;) {
    const Owned<X509> trusted(::PEM_read_bio_X509(ca.get(), nullptr, nullptr, nullptr));
    if (trusted == nullptr) break;
    ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context.get()), trusted.get());
  }
  const Owned<BIO> certificate_text = Reader(own.certificate_pem);
  const Owned<BIO> key_text = Reader(own.key_pem);
  const Owned<X509> certificate(
      ::PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr));
  const Owned<EVP_PKEY> key(::PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  ::SSL_CTX_use_certificate(context.get(), certificate.get());
  ::SSL_CTX_use_PrivateKey(context.get(), key.get());
  // Agents speak HTTP/2 and nothing else.
  const unsigned char protocols[] = {2, 'h', '2'};
  ::SSL_CTX_set_alpn_protos(context.get(), protocols, sizeof(protocols));
  return context;
}

// Runs a step of the connection until it is done, fails, or the time is up: what it returned last.
template <typename Step>
int Drive(SSL* connection, int fd, int64_t give_up_ns, Step step) {
  for (;;) {
    ::ERR_clear_error();
    const int done = step();
    const int want = ::SSL_get_error(connection, done);
    short events = 0;
    if (want == SSL_ERROR_WANT_READ) events = POLLIN;
    if (want == SSL_ERROR_WANT_WRITE) events = POLLOUT;
    if (done > 0 || events == 0 || !Await(fd, events, give_up_ns)) return done;
  }
}

Error Refusal(const HostAddress& address, const char* reason, const std::string& why) {
  return Error{
      ErrorCode::kUnauthenticated, reason,
      "no connection to the agent of '" + address.name + "' at '" + address.target + "': " + why,
      ""};
}

// What is wrong with what the agent has shown; none if nothing is.
Status JudgeShown(const HostAddress& address, const TlsMaterial& own, SSL* connection) {
  const Owned<X509> shown(::SSL_get1_peer_certificate(connection));
  if (shown == nullptr) return Refusal(address, "NO_PEER_CERTIFICATE", "it shows no certificate");
  const Certificate certificate = ReadCertificate(shown.get());
  const auto now = static_cast<int64_t>(std::time(nullptr));
  const Identity asked{own.identity.realm, PeerKind::kAgent, address.name};
  // The time first: it is the usual fault, and OpenSSL tells of one only.
  if (const std::string wrong = WrongTime(certificate, now); !wrong.empty()) {
    return Refusal(
        address, "PEER_TIME",
        "its certificate " + wrong + "; " +
            (now < certificate.not_before
                 ? "set the clock of this machine, or of the one that issued it"
                 : "on that host, put a new one in its place (`brood certs rotate agent " +
                       address.name + "`)"));
  }
  const long verdict = ::SSL_get_verify_result(connection);
  if (verdict != X509_V_OK && verdict != X509_V_ERR_INVALID_PURPOSE) {
    return Refusal(address, "UNKNOWN_AUTHORITY",
                   "its certificate is of another certificate authority than '" + address.tls->ca +
                       "' (" + ::X509_verify_cert_error_string(verdict) +
                       "); have both from one `brood certs init`");
  }
  if (Status other = JudgeAgent(certificate.uris, asked.realm, asked.name)) {
    return Refusal(address, "WRONG_PEER", other->message);
  }
  if (verdict != X509_V_OK) {
    return Refusal(address, "WRONG_PEER", "its certificate is not made for agents");
  }
  return Ok();
}

// An agent that minds our certificate closes without a word (gRPC 1.51 sends no alert). What is
// wrong with the certificate alone has been told before, so this is between the two hosts.
std::string WhatItMinds(const TlsMaterial& own) {
  return "it closes once it has seen the certificate of '" + own.identity.Uri() +
         "', which is good by itself: that host's ca.pem is of another certificate authority, or "
         "its clock is wrong; compare `brood certs show` and `date` on both";
}

}  // namespace

Status DiagnoseTls(const HostAddress& address) {
  const int64_t give_up_ns = BootTimeNanos() + kPatienceNanos;
  const Result<TlsMaterial> own =
      LoadTlsFiles(*address.tls, PeerKind::kUser, static_cast<int64_t>(std::time(nullptr)));
  if (!own) return Refusal(address, own.error().reason.c_str(), own.error().message);
  const UniqueFd fd = ConnectTcp(address.target, give_up_ns);
  if (!fd) return Ok();
  const Owned<SSL_CTX> context = MakeContext(*own);
  const Owned<SSL> connection(::SSL_new(context.get()));
  ::SSL_set_fd(connection.get(), fd.get());
  SSL* const tls = connection.get();
  const int shaken = Drive(tls, fd.get(), give_up_ns, [tls] { return ::SSL_connect(tls); });
  if (shaken <= 0) {
    if (BootTimeNanos() >= give_up_ns) return Ok();
    const int reason = ERR_GET_REASON(::ERR_peek_last_error());
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_PACKET_LENGTH_TOO_LONG ||
        reason == SSL_R_HTTP_REQUEST) {
      return Refusal(address, "NO_TLS",
                     "what listens there speaks no TLS; if it is an agent with "
                     "--insecure-loopback, write `insecure = true` into the hosts file");
    }
    // With TLS 1.2 the agent has seen our certificate by now.
    if (const Owned<X509> shown(::SSL_get1_peer_certificate(tls)); shown == nullptr) return Ok();
    if (Status bad = JudgeShown(address, *own, tls)) return bad;
    return Refusal(address, "REFUSED_BY_PEER", WhatItMinds(*own));
  }
  if (Status bad = JudgeShown(address, *own, tls)) return bad;
  // With TLS 1.3 the agent judges us after our side is done; if all is well, it speaks first.
  char byte = 0;
  const int read = Drive(tls, fd.get(), give_up_ns, [&] { return ::SSL_read(tls, &byte, 1); });
  if (read > 0 || BootTimeNanos() >= give_up_ns) return Ok();
  return Refusal(address, "REFUSED_BY_PEER", WhatItMinds(*own));
}

}  // namespace brood
