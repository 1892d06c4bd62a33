// SPDX-License-Identifier: Apache-2.0
#include "controller/certs/certificate_maker.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <memory>
#include <utility>

namespace brood {
namespace {

// As the CA/Browser Forum asks for: at least 64 random bits, so that nobody can guess the next.
constexpr int kSerialBytes = 16;

struct Free {
  void operator()(BIO* bio) const { ::BIO_free(bio); }
  void operator()(X509* certificate) const { ::X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
  void operator()(X509_EXTENSION* extension) const { ::X509_EXTENSION_free(extension); }
  void operator()(ASN1_INTEGER* number) const { ::ASN1_INTEGER_free(number); }
  void operator()(BIGNUM* number) const { ::BN_free(number); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Error OpenSslError(const std::string& what) {
  char text[256] = "no reason given";
  if (const unsigned long code = ::ERR_get_error(); code != 0) {
    ::ERR_error_string_n(code, text, sizeof(text));
  }
  ::ERR_clear_error();
  return Error{ErrorCode::kInternal, "OPENSSL", what + ": " + text, ""};
}

std::string TextOf(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  return std::string(bytes, size > 0 ? static_cast<size_t>(size) : 0);
}

bool SetSerial(X509* certificate) {
  unsigned char bytes[kSerialBytes];
  if (::RAND_bytes(bytes, sizeof(bytes)) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, of full length
  const Owned<BIGNUM> number(::BN_bin2bn(bytes, sizeof(bytes), nullptr));
  const Owned<ASN1_INTEGER> serial(::BN_to_ASN1_INTEGER(number.get(), nullptr));
  return serial != nullptr && ::X509_set_serialNumber(certificate, serial.get()) == 1;
}

struct Extension {
  int nid;
  std::string value;
};

bool Add(X509* certificate, X509* issuer, const std::vector<Extension>& extensions) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const Extension& wanted : extensions) {
    const Owned<X509_EXTENSION> extension(
        ::X509V3_EXT_conf_nid(nullptr, &context, wanted.nid, wanted.value.c_str()));
    if (extension == nullptr || ::X509_add_ext(certificate, extension.get(), -1) != 1) return false;
  }
  return true;
}

bool SetName(X509* certificate, const std::string& organization, const std::string& name) {
  X509_NAME* const subject = ::X509_get_subject_name(certificate);
  const auto add = [subject](const char* field, const std::string& text) {
    return ::X509_NAME_add_entry_by_txt(subject, field, MBSTRING_ASC,
                                        reinterpret_cast<const unsigned char*>(text.data()),
                                        static_cast<int>(text.size()), -1, 0) == 1;
  };
  // The standard's limit; nothing rests on it.
  constexpr size_t kCommonNameMax = 64;
  return add("O", "brood " + organization.substr(0, kCommonNameMax - 6)) &&
         add("CN", name.substr(0, kCommonNameMax));
}

// With a new key; signed by the issuer's key, or without one by its own.
Result<KeyAndCertificate> Make(const std::string& realm, const std::string& name, Validity validity,
                               const std::vector<Extension>& extensions, X509* issuer,
                               EVP_PKEY* issuer_key) {
  const Owned<EVP_PKEY> key(::EVP_EC_gen("P-256"));
  const Owned<X509> certificate(::X509_new());
  if (key == nullptr || certificate == nullptr) return OpenSslError("make a key");
  X509* const made = certificate.get();
  if (::X509_set_version(made, X509_VERSION_3) != 1 || !SetSerial(made) ||
      ::ASN1_TIME_set(X509_getm_notBefore(made), validity.from) == nullptr ||
      ::ASN1_TIME_set(X509_getm_notAfter(made), validity.until) == nullptr ||
      ::X509_set_pubkey(made, key.get()) != 1 || !SetName(made, realm, name) ||
      ::X509_set_issuer_name(made, ::X509_get_subject_name(issuer ? issuer : made)) != 1 ||
      !Add(made, issuer ? issuer : made, extensions) ||
      ::X509_sign(made, issuer_key ? issuer_key : key.get(), ::EVP_sha256()) == 0) {
    return OpenSslError("make a certificate of '" + name + "'");
  }
  const Owned<BIO> key_text(::BIO_new(::BIO_s_mem()));
  const Owned<BIO> certificate_text(::BIO_new(::BIO_s_mem()));
  if (::PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                 nullptr) != 1 ||
      ::PEM_write_bio_X509(certificate_text.get(), made) != 1) {
    return OpenSslError("write a certificate of '" + name + "'");
  }
  return KeyAndCertificate{TextOf(key_text.get()), TextOf(certificate_text.get())};
}

// "URI:…,DNS:…,IP:…", of names that hold no comma.
Result<std::string> AlternativeNames(const Identity& identity,
                                     const std::vector<std::string>& names) {
  std::string text = "URI:" + identity.Uri();
  for (const std::string& name : names) {
    unsigned char address[16];
    if (::inet_pton(AF_INET, name.c_str(), address) == 1 ||
        ::inet_pton(AF_INET6, name.c_str(), address) == 1) {
      text += ",IP:" + name;
    } else if (IsIdentityName(name)) {
      text += ",DNS:" + name;
    } else {
      return Error{ErrorCode::kInvalidArgument, "BAD_ADDRESS",
                   "'" + name + "' is neither a DNS name nor an address; write it without a port",
                   "address"};
    }
  }
  return text;
}

}  // namespace

Result<KeyAndCertificate> MakeAuthority(const std::string& realm, Validity validity) {
  return Make(realm, "brood authority of " + realm, validity,
              {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
               {NID_key_usage, "critical,keyCertSign,cRLSign"},
               {NID_subject_key_identifier, "hash"}},
              nullptr, nullptr);
}

Result<KeyAndCertificate> MakeLeaf(const KeyAndCertificate& authority, const Identity& identity,
                                   const std::vector<std::string>& names, Validity validity) {
  const Result<std::string> alternative = AlternativeNames(identity, names);
  if (!alternative) return alternative.error();
  const Owned<BIO> key_text(
      ::BIO_new_mem_buf(authority.key.data(), static_cast<int>(authority.key.size())));
  const Owned<BIO> certificate_text(::BIO_new_mem_buf(
      authority.certificate.data(), static_cast<int>(authority.certificate.size())));
  const Owned<EVP_PKEY> key(::PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  const Owned<X509> issuer(::PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr));
  if (key == nullptr || issuer == nullptr) return OpenSslError("read the authority");
  return Make(identity.realm, identity.name, validity,
              {{NID_basic_constraints, "critical,CA:FALSE"},
               {NID_key_usage, "critical,digitalSignature"},
               // Agents ask too: of other agents, and of services over many hosts.
               {NID_ext_key_usage,
                identity.kind == PeerKind::kAgent ? "serverAuth,clientAuth" : "clientAuth"},
               {NID_subject_key_identifier, "hash"},
               {NID_authority_key_identifier, "keyid:always"},
               {NID_subject_alt_name, *alternative}},
              issuer.get(), key.get());
}

}  // namespace brood
