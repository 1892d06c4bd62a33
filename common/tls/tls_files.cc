// SPDX-License-Identifier: Apache-2.0
#include "common/tls/tls_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/base/unique_fd.h"

namespace brood {
namespace {

constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

Error Refusal(std::string reason, std::string message) {
  return Error{ErrorCode::kFailedPrecondition, std::move(reason), std::move(message), ""};
}

std::string HowToIssue(PeerKind kind) {
  return std::string("where the certificate authority is, run `brood certs issue ") +
         PeerKindName(kind) + " NAME`, and put the files where it says";
}

Status CheckKeyIsPrivate(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return ErrnoError(errno, "look at '" + path + "'");
  if ((status.st_mode & kOthers) == 0) return Ok();
  return Refusal("KEY_NOT_PRIVATE", "the private key in '" + path +
                                        "' can be read by other users; run `chmod 600 " + path +
                                        "`, and issue it anew if somebody may have");
}

}  // namespace

Result<std::string> ReadTlsFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  std::string text;
  char piece[16 << 10];
  for (;;) {
    const ssize_t size = ::read(fd.get(), piece, sizeof(piece));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return ErrnoError(errno, "read '" + path + "'");
    if (size == 0) return text;
    text.append(piece, static_cast<size_t>(size));
    if (text.size() > kTlsFileMax) {
      return Refusal("FILE_TOO_LARGE",
                     "'" + path + "' is larger than 1 MiB: that is no file of " + "certificates");
    }
  }
}

Result<TlsMaterial> LoadTlsFiles(const TlsFiles& files, PeerKind kind, int64_t now) {
  TlsMaterial material;
  struct Part {
    const std::string& path;
    std::string* text;
  };
  for (const Part& part : {Part{files.certificate, &material.certificate_pem},
                           Part{files.key, &material.key_pem}, Part{files.ca, &material.ca_pem}}) {
    Result<std::string> text = ReadTlsFile(part.path);
    if (!text && text.error().code == ErrorCode::kNotFound) {
      return Error{ErrorCode::kNotFound, "NO_CERTIFICATE",
                   "there is no '" + part.path + "'; " + HowToIssue(kind), ""};
    }
    if (!text) return text.error();
    *part.text = std::move(*text);
  }
  if (Status bad = CheckKeyIsPrivate(files.key)) return *bad;
  Result<Certificate> own = ParseCertificate(material.certificate_pem);
  if (!own)
    return Refusal("BAD_CERTIFICATE", "'" + files.certificate + "': " + own.error().message);
  if (!KeyFits(material.certificate_pem, material.key_pem)) {
    return Refusal("KEY_DOES_NOT_FIT", "the private key in '" + files.key +
                                           "' is not that of the certificate in '" +
                                           files.certificate + "'; put both from one issue there");
  }
  if (const Result<Certificate> ca = ParseCertificate(material.ca_pem); !ca) {
    return Refusal("BAD_CERTIFICATE", "'" + files.ca + "': " + ca.error().message);
  }
  Result<Identity> identity = IdentityAmong(own->uris);
  if (!identity) {
    return Refusal("BAD_CERTIFICATE", "'" + files.certificate + "': " + identity.error().message);
  }
  if (identity->kind != kind) {
    return Refusal("WRONG_KIND", "the certificate in '" + files.certificate + "' is of '" +
                                     identity->Uri() + "', which is no " + PeerKindName(kind) +
                                     "; " + HowToIssue(kind));
  }
  if (const std::string wrong = WrongTime(*own, now); !wrong.empty()) {
    return Refusal("CERTIFICATE_TIME", "the certificate of '" + identity->Uri() + "' in '" +
                                           files.certificate + "' " + wrong + ": " +
                                           CureForTime(*own, now, *identity));
  }
  material.certificate = std::move(*own);
  material.identity = std::move(*identity);
  return material;
}

}  // namespace brood
