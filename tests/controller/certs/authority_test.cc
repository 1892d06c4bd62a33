// SPDX-License-Identifier: Apache-2.0
#include "controller/certs/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "common/tls/tls_files.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kNow = 1'800'000'000;
constexpr int64_t kDay = 86'400;

class AuthorityTest : public ::testing::Test {
 protected:
  std::string Folder() const { return directory_.path() + "/authority"; }
  Authority Init(int days = kAuthorityDays) {
    Result<Authority> made = Authority::Init(Folder(), "brood", days, kNow);
    EXPECT_TRUE(made.ok()) << made.error().message;
    return *made;
  }
  static mode_t Mode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  static std::string Read(const std::string& path) {
    const Result<std::string> text = ReadTlsFile(path);
    EXPECT_TRUE(text.ok());
    return text ? *text : "";
  }
  std::string TroubleOf(const std::string& file, PeerKind kind, int64_t now) const {
    const Result<TlsMaterial> loaded = LoadTlsFiles({file, file, Folder() + "/ca.pem"}, kind, now);
    return loaded ? "" : loaded.error().reason;
  }

  const testing::TempDirectory directory_;
};

TEST_F(AuthorityTest, KeepsItsKeyFromOthers) {
  const mode_t usual = ::umask(0);
  Init();
  ::umask(usual);
  EXPECT_EQ(Mode(Folder()), 0700u);
  EXPECT_EQ(Mode(Folder() + "/ca.key"), 0600u);
  EXPECT_THAT(Read(Folder() + "/ca.key"), HasSubstr("PRIVATE KEY"));
  EXPECT_THAT(Read(Folder() + "/ca.pem"), ::testing::Not(HasSubstr("PRIVATE KEY")));
}

TEST_F(AuthorityTest, IsNotOverwritten) {
  Init();
  const std::string key = Read(Folder() + "/ca.key");
  const Result<Authority> again = Authority::Init(Folder(), "other", kAuthorityDays, kNow);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(Read(Folder() + "/ca.key"), key);
  EXPECT_EQ(Authority::Open(Folder())->realm(), "brood");
}

TEST_F(AuthorityTest, IssuesWhatAnAgentNeeds) {
  const Result<Issued> issued =
      Init().Issue(PeerKind::kAgent, "node1", {"node1", "10.0.0.1", "fd00::1"}, 365, kNow);
  ASSERT_TRUE(issued.ok()) << issued.error().message;
  EXPECT_EQ(Mode(issued->file), 0600u);
  EXPECT_EQ(issued->identity.Uri(), "brood://brood/agent/node1");
  EXPECT_THAT(issued->certificate.uris, ElementsAre("brood://brood/agent/node1"));
  EXPECT_THAT(issued->certificate.dns_names, ElementsAre("node1"));
  EXPECT_THAT(issued->certificate.ip_addresses, ElementsAre("10.0.0.1", "fd00::1"));
  EXPECT_FALSE(issued->certificate.is_authority);
  EXPECT_EQ(issued->certificate.not_after, kNow + 365 * kDay);
  EXPECT_EQ(TroubleOf(issued->file, PeerKind::kAgent, kNow), "");
  EXPECT_EQ(TroubleOf(issued->file, PeerKind::kAgent, kNow - 60), "");
}

TEST_F(AuthorityTest, ItsCertificatesAreGoodForNothingElse) {
  const Authority authority = Init();
  const std::string file = authority.Issue(PeerKind::kUser, "eve", {}, 90, kNow)->file;
  EXPECT_EQ(TroubleOf(file, PeerKind::kUser, kNow), "");
  EXPECT_EQ(TroubleOf(file, PeerKind::kAgent, kNow), "WRONG_KIND");
  EXPECT_EQ(TroubleOf(file, PeerKind::kUser, kNow - kDay), "CERTIFICATE_TIME");
  EXPECT_EQ(TroubleOf(file, PeerKind::kUser, kNow + 91 * kDay), "CERTIFICATE_TIME");
  std::filesystem::permissions(file, std::filesystem::perms::group_read,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(TroubleOf(file, PeerKind::kUser, kNow), "KEY_NOT_PRIVATE");
}

TEST_F(AuthorityTest, IssuesToEachOnceAndRotatesInPlace) {
  const Authority authority = Init();
  const Result<Issued> first =
      authority.Issue(PeerKind::kAgent, "node1", {"node1", "10.0.0.1"}, 30, kNow);
  ASSERT_TRUE(first.ok());
  const Result<Issued> again = authority.Issue(PeerKind::kAgent, "node1", {}, 30, kNow);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(again.error().message, HasSubstr("brood certs rotate agent node1"));
  EXPECT_EQ(Read(first->file), first->pem);

  const Result<Issued> second = authority.Rotate(PeerKind::kAgent, "node1", kNow + 20 * kDay);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(second->file, first->file);
  EXPECT_EQ(Read(second->file), second->pem);
  EXPECT_EQ(Mode(second->file), 0600u);
  EXPECT_NE(second->certificate.fingerprint, first->certificate.fingerprint);
  EXPECT_FALSE(KeyFits(second->pem, first->pem));
  EXPECT_EQ(second->certificate.dns_names, first->certificate.dns_names);
  EXPECT_EQ(second->certificate.ip_addresses, first->certificate.ip_addresses);
  EXPECT_EQ(second->certificate.not_after, kNow + 50 * kDay);
  EXPECT_EQ(authority.Rotate(PeerKind::kUser, "node1", kNow).error().code, ErrorCode::kNotFound);
}

TEST_F(AuthorityTest, NothingOutlivesIt) {
  const Authority authority = Init(10);
  EXPECT_EQ(authority.Issue(PeerKind::kUser, "eve", {}, 90, kNow)->certificate.not_after,
            kNow + 10 * kDay);
  const Result<Issued> late = authority.Issue(PeerKind::kUser, "eva", {}, 90, kNow + 11 * kDay);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().reason, "AUTHORITY_EXPIRED");
}

TEST_F(AuthorityTest, RefusesNamesThatAreNone) {
  const Authority authority = Init();
  for (const char* name : {"", "../x", "a/b", "a b", "-x", ".x", "a,URI:brood://brood/user/root"}) {
    EXPECT_EQ(authority.Issue(PeerKind::kUser, name, {}, 90, kNow).error().reason, "BAD_NAME")
        << name;
    const Result<Issued> issued = authority.Issue(PeerKind::kAgent, "n", {name}, 90, kNow);
    ASSERT_FALSE(issued.ok()) << name;
    EXPECT_EQ(issued.error().reason, "BAD_ADDRESS") << name;
  }
  EXPECT_EQ(authority.Issue(PeerKind::kUser, "eve", {}, 0, kNow).error().reason, "BAD_DAYS");
  EXPECT_EQ(Authority::Init(Folder() + "2", "a/b", 10, kNow).error().reason, "BAD_NAME");
  EXPECT_TRUE(authority.List()->empty());
}

TEST_F(AuthorityTest, ListsWhatItHasIssued) {
  const Authority authority = Init();
  ASSERT_TRUE(authority.Issue(PeerKind::kUser, "eve", {}, 90, kNow).ok());
  ASSERT_TRUE(authority.Issue(PeerKind::kAgent, "node2", {}, 90, kNow).ok());
  ASSERT_TRUE(authority.Issue(PeerKind::kAgent, "node1", {}, 90, kNow).ok());
  std::vector<std::string> uris;
  const Result<std::vector<Issued>> all = authority.List();
  ASSERT_TRUE(all.ok());
  for (const Issued& issued : *all) uris.push_back(issued.identity.Uri());
  EXPECT_THAT(uris, ElementsAre("brood://brood/agent/node1", "brood://brood/agent/node2",
                                "brood://brood/user/eve"));
}

TEST_F(AuthorityTest, AKeyOfSomebodyElseIsNoticed) {
  const Authority authority = Init();
  const std::string one = authority.Issue(PeerKind::kUser, "one", {}, 90, kNow)->file;
  const std::string two = authority.Issue(PeerKind::kUser, "two", {}, 90, kNow)->file;
  const Result<TlsMaterial> loaded =
      LoadTlsFiles({one, two, Folder() + "/ca.pem"}, PeerKind::kUser, kNow);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().reason, "KEY_DOES_NOT_FIT");
  std::ofstream(Folder() + "/ca.key") << Read(two);
  EXPECT_EQ(Authority::Open(Folder()).error().reason, "BAD_AUTHORITY");
}

}  // namespace
}  // namespace brood
