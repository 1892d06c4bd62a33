// SPDX-License-Identifier: Apache-2.0
#include "common/tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

namespace brood {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&::BIO_free)>;
using X509Pointer = std::unique_ptr<X509, decltype(&::X509_free)>;
using Names = std::unique_ptr<GENERAL_NAMES, decltype(&::GENERAL_NAMES_free)>;

Bio Reader(std::string_view text) {
  return Bio(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), ::BIO_free);
}

// Never asks a terminal for a key's password.
int NoPassword(char*, int, int, void*) { return -1; }

X509Pointer FirstCertificate(std::string_view pem) {
  const Bio bio = Reader(pem);
  X509Pointer first(::PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr), ::X509_free);
  ::ERR_clear_error();
  return first;
}

std::string Text(const ASN1_STRING* string) {
  return std::string(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(string)),
                     static_cast<size_t>(::ASN1_STRING_length(string)));
}

std::string AddressText(const ASN1_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  const int family = ::ASN1_STRING_length(bytes) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ::ASN1_STRING_length(bytes) != 16) return "";
  ::inet_ntop(family, ::ASN1_STRING_get0_data(bytes), text, sizeof(text));
  return text;
}

int64_t Seconds(const ASN1_TIME* time) {
  tm fields{};
  if (::ASN1_TIME_to_tm(time, &fields) != 1) return 0;
  return ::timegm(&fields);
}

}  // namespace

Certificate ReadCertificate(const X509* certificate) {
  Certificate read;
  const Names names(static_cast<GENERAL_NAMES*>(
                        ::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
                    ::GENERAL_NAMES_free);
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_URI) read.uris.push_back(Text(name->d.uniformResourceIdentifier));
    if (name->type == GEN_DNS) read.dns_names.push_back(Text(name->d.dNSName));
    if (name->type == GEN_IPADD) read.ip_addresses.push_back(AddressText(name->d.iPAddress));
  }
  char common_name[256] = "";
  ::X509_NAME_get_text_by_NID(::X509_get_subject_name(certificate), NID_commonName, common_name,
                              sizeof(common_name));
  read.common_name = common_name;
  read.not_before = Seconds(::X509_get0_notBefore(certificate));
  read.not_after = Seconds(::X509_get0_notAfter(certificate));
  // It caches what it finds in the object; that is not a change of it.
  read.is_authority = ::X509_check_ca(const_cast<X509*>(certificate)) > 0;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  ::X509_digest(certificate, ::EVP_sha256(), digest, &size);
  for (unsigned int i = 0; i < size; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    read.fingerprint += kDigits[digest[i] >> 4];
    read.fingerprint += kDigits[digest[i] & 15];
  }
  ::ERR_clear_error();
  return read;
}

Result<Certificate> ParseCertificate(std::string_view pem) {
  const X509Pointer first = FirstCertificate(pem);
  if (first == nullptr) {
    return Error{ErrorCode::kInvalidArgument, "BAD_CERTIFICATE",
                 "there is no certificate in it; it begins with -----BEGIN CERTIFICATE-----", ""};
  }
  return ReadCertificate(first.get());
}

bool KeyFits(std::string_view certificate_pem, std::string_view key_pem) {
  const X509Pointer certificate = FirstCertificate(certificate_pem);
  const Bio bio = Reader(key_pem);
  const std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)> key(
      ::PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr), ::EVP_PKEY_free);
  const bool fits = certificate != nullptr && key != nullptr &&
                    ::X509_check_private_key(certificate.get(), key.get()) == 1;
  ::ERR_clear_error();
  return fits;
}

std::string WrongTime(const Certificate& certificate, int64_t now) {
  if (now < certificate.not_before) {
    return "is not valid before " + TimeText(certificate.not_before) + ", and here it is " +
           TimeText(now);
  }
  if (now > certificate.not_after) {
    return "was valid until " + TimeText(certificate.not_after) + ", and here it is " +
           TimeText(now);
  }
  return "";
}

std::string CureForTime(const Certificate& certificate, int64_t now, const Identity& identity) {
  if (now < certificate.not_before) return "set the clock of this machine";
  return std::string("renew it by `brood certs rotate ") + PeerKindName(identity.kind) + " " +
         identity.name + "` where the certificate authority is, and put the file here";
}

std::string TimeText(int64_t seconds) {
  const std::time_t time = seconds;
  tm fields{};
  ::gmtime_r(&time, &fields);
  char text[64];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &fields);
  return text;
}

}  // namespace brood
