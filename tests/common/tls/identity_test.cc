// SPDX-License-Identifier: Apache-2.0
#include "common/tls/identity.h"

#include <gtest/gtest.h>

namespace brood {
namespace {

TEST(IdentityTest, IsReadAsItIsWritten) {
  for (const char* uri : {"brood://lab/user/eve", "brood://a.b-c/agent/node01.example"}) {
    const Result<Identity> identity = ParseIdentity(uri);
    ASSERT_TRUE(identity.ok()) << uri;
    EXPECT_EQ(identity->Uri(), uri);
  }
}

TEST(IdentityTest, NothingElseIsOne) {
  for (const char* uri :
       {"", "brood://", "brood://lab", "brood://lab/user", "brood://lab/user/", "brood:///user/eve",
        "brood://lab/root/eve", "brood://lab/User/eve", "brood://lab/user/eve/",
        "brood://lab/user/a/b", "brood://lab/user/..", "brood://lab/user/a b",
        "BROOD://lab/user/eve", "spiffe://lab/user/eve", "brood://lab/user/eve?x",
        "brood://lab/user/eve#x", "brood://lab/user/e%76e"}) {
    EXPECT_FALSE(ParseIdentity(uri).ok()) << uri;
  }
  EXPECT_FALSE(ParseIdentity(std::string("brood://lab/user/eve\0", 21)).ok());
}

TEST(IdentityTest, ACertificateHasExactlyOne) {
  EXPECT_EQ(IdentityAmong({"https://example.org", "brood://lab/user/eve"})->name, "eve");
  EXPECT_EQ(IdentityAmong({}).error().reason, "NO_IDENTITY");
  EXPECT_EQ(IdentityAmong({"spiffe://lab/user/eve"}).error().reason, "NO_IDENTITY");
  EXPECT_EQ(IdentityAmong({"brood://lab/user/eve", "brood://lab/user/root"}).error().reason,
            "BAD_IDENTITY");
  // Also where the second cannot be read: nobody may be confused about it.
  EXPECT_EQ(IdentityAmong({"brood://lab/user/eve", "brood://lab"}).error().reason, "BAD_IDENTITY");
}

}  // namespace
}  // namespace brood
