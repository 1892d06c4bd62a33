// SPDX-License-Identifier: Apache-2.0
#include "controller/certs/authority.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/base/paths.h"
#include "common/tls/tls_files.h"
#include "controller/certs/private_file.h"

namespace brood {
namespace {

// Clocks differ: what is issued now is valid now, by every clock that is worth the name.
constexpr int64_t kClockSlackSeconds = 300;
constexpr int64_t kDaySeconds = 86'400;
constexpr int kDaysMax = 36'500;

const char* FolderOf(PeerKind kind) { return kind == PeerKind::kAgent ? "agents" : "users"; }

// The realm in words of its own: the name in a certificate is for people.
constexpr char kRealmFile[] = "/realm";

Result<Validity> ValidityOf(int days, int64_t now) {
  if (days < 1 || days > kDaysMax) {
    return Error{ErrorCode::kInvalidArgument, "BAD_DAYS",
                 "--days " + std::to_string(days) + ": take 1 to " + std::to_string(kDaysMax),
                 "days"};
  }
  return Validity{now - kClockSlackSeconds, now + days * kDaySeconds};
}

Status CheckName(const char* what, const std::string& name) {
  if (IsIdentityName(name)) return Ok();
  return Error{ErrorCode::kInvalidArgument, "BAD_NAME",
               "'" + name + "' is no name of a " + what +
                   "; take letters, digits, '.', '_' and '-', the first a letter or a digit",
               what};
}

Result<Issued> ReadIssued(const std::string& file) {
  Result<std::string> pem = ReadTlsFile(file);
  if (!pem) return pem.error();
  Result<Certificate> certificate = ParseCertificate(*pem);
  if (!certificate) {
    certificate.error().message = "'" + file + "': " + certificate.error().message;
    return certificate.error();
  }
  Result<Identity> identity = IdentityAmong(certificate->uris);
  if (!identity) {
    identity.error().message = "'" + file + "': " + identity.error().message;
    return identity.error();
  }
  return Issued{std::move(*identity), file, std::move(*pem), std::move(*certificate)};
}

}  // namespace

Authority::Authority(std::string folder, std::string realm, KeyAndCertificate own,
                     Certificate certificate)
    : folder_(std::move(folder)),
      realm_(std::move(realm)),
      own_(std::move(own)),
      certificate_(std::move(certificate)) {}

Result<Authority> Authority::Init(const std::string& folder, const std::string& realm, int days,
                                  int64_t now) {
  if (Status bad = CheckName("realm", realm)) return *bad;
  const Result<Validity> validity = ValidityOf(days, now);
  if (!validity) return validity.error();
  for (const std::string& path : {folder, folder + "/agents", folder + "/users"}) {
    if (Status failed = MakePrivateDirectory(path)) return *failed;
  }
  const Result<KeyAndCertificate> made = MakeAuthority(realm, *validity);
  if (!made) return made.error();
  // The key first: where it is there, nothing else is touched.
  if (Status failed = CreateFile(folder + "/ca.key", made->key, kPrivateMode)) return *failed;
  if (Status failed = CreateFile(folder + kRealmFile, realm + "\n", kPublicMode)) return *failed;
  if (Status failed = CreateFile(folder + "/ca.pem", made->certificate, kPublicMode))
    return *failed;
  return Open(folder);
}

Result<Authority> Authority::Open(const std::string& folder) {
  KeyAndCertificate own;
  std::string realm;
  const std::pair<std::string, std::string*> parts[] = {{folder + "/ca.pem", &own.certificate},
                                                        {folder + "/ca.key", &own.key},
                                                        {folder + kRealmFile, &realm}};
  for (const auto& [path, text] : parts) {
    Result<std::string> read = ReadTlsFile(path);
    if (!read && read.error().code == ErrorCode::kNotFound) {
      return Error{ErrorCode::kNotFound, "NO_AUTHORITY",
                   "there is no '" + path +
                       "'; make a certificate authority by `brood certs init`, or name its folder "
                       "by --authority",
                   ""};
    }
    if (!read) return read.error();
    *text = std::move(*read);
  }
  while (!realm.empty() && realm.back() == '\n') realm.pop_back();
  if (Status bad = CheckName("realm", realm)) return *bad;
  Result<Certificate> certificate = ParseCertificate(own.certificate);
  if (!certificate || !KeyFits(own.certificate, own.key)) {
    return Error{ErrorCode::kFailedPrecondition, "BAD_AUTHORITY",
                 "in '" + folder + "' ca.key is not the key of ca.pem; restore both", ""};
  }
  return Authority(folder, std::move(realm), std::move(own), std::move(*certificate));
}

std::string Authority::FileOf(PeerKind kind, const std::string& name) const {
  return folder_ + "/" + FolderOf(kind) + "/" + name + ".pem";
}

Result<Issued> Authority::Make(const Identity& identity, const std::vector<std::string>& addresses,
                               Validity validity) const {
  validity.until = std::min(validity.until, certificate_.not_after);
  if (validity.until <= validity.from) {
    return Error{ErrorCode::kFailedPrecondition, "AUTHORITY_EXPIRED",
                 "the certificate authority was valid until " + TimeText(certificate_.not_after) +
                     "; make another one by `brood certs init --authority FOLDER`",
                 ""};
  }
  const Result<KeyAndCertificate> made = MakeLeaf(own_, identity, addresses, validity);
  if (!made) return made.error();
  Result<Certificate> certificate = ParseCertificate(made->certificate);
  if (!certificate) return certificate.error();
  return Issued{identity, FileOf(identity.kind, identity.name), made->certificate + made->key,
                std::move(*certificate)};
}

Result<Issued> Authority::Issue(PeerKind kind, const std::string& name,
                                const std::vector<std::string>& addresses, int days,
                                int64_t now) const {
  if (Status bad = CheckName(PeerKindName(kind), name)) return *bad;
  const Result<Validity> validity = ValidityOf(days, now);
  if (!validity) return validity.error();
  Result<Issued> issued = Make(Identity{realm_, kind, name}, addresses, *validity);
  if (!issued) return issued.error();
  if (Status failed = CreateFile(issued->file, issued->pem, kPrivateMode)) {
    if (failed->reason == "FILE_EXISTS") {
      failed->message = "'" + issued->identity.Uri() + "' has a certificate, '" + issued->file +
                        "'; `brood certs rotate " + PeerKindName(kind) + " " + name +
                        "` makes another one in its place";
    }
    return *failed;
  }
  return issued;
}

Result<Issued> Authority::Rotate(PeerKind kind, const std::string& name, int64_t now) const {
  if (Status bad = CheckName(PeerKindName(kind), name)) return *bad;
  const Result<Issued> last = ReadIssued(FileOf(kind, name));
  if (!last && last.error().code == ErrorCode::kNotFound) {
    return Error{ErrorCode::kNotFound, "NOT_ISSUED",
                 std::string("no certificate of the ") + PeerKindName(kind) + " '" + name +
                     "' was issued here; `brood certs issue` makes one",
                 ""};
  }
  if (!last) return last.error();
  std::vector<std::string> addresses = last->certificate.dns_names;
  addresses.insert(addresses.end(), last->certificate.ip_addresses.begin(),
                   last->certificate.ip_addresses.end());
  const int64_t length = last->certificate.not_after - last->certificate.not_before;
  Result<Issued> issued = Make(last->identity, addresses,
                               {now - kClockSlackSeconds, now - kClockSlackSeconds + length});
  if (!issued) return issued.error();
  if (Status failed = ReplaceFile(issued->file, issued->pem, kPrivateMode)) return *failed;
  return issued;
}

Result<std::vector<Issued>> Authority::List() const {
  std::vector<Issued> all;
  for (const PeerKind kind : {PeerKind::kAgent, PeerKind::kUser}) {
    std::vector<std::string> files;
    std::error_code failed;
    for (const auto& entry :
         std::filesystem::directory_iterator(folder_ + "/" + FolderOf(kind), failed)) {
      if (entry.path().extension() == ".pem") files.push_back(entry.path().string());
    }
    if (failed) {
      return Error{ErrorCode::kNotFound, "NO_FOLDER",
                   "list '" + folder_ + "/" + FolderOf(kind) + "': " + failed.message(), ""};
    }
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
      Result<Issued> issued = ReadIssued(file);
      if (!issued) return issued.error();
      all.push_back(std::move(*issued));
    }
  }
  return all;
}

}  // namespace brood
