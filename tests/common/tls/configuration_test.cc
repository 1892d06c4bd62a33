// SPDX-License-Identifier: Apache-2.0
#include "common/tls/configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace brood {
namespace {

using ::testing::HasSubstr;

std::string TroubleOf(const std::string& text) {
  const Result<Configuration> read = ParseConfiguration(text, "/etc/brood/config.toml");
  return read ? "" : read.error().message;
}

TEST(ConfigurationTest, WithoutOneTheFilesAreBesideIt) {
  const Result<Configuration> read = LoadConfiguration("/nowhere/brood/config.toml");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->agent.certificate, "/nowhere/brood/certs/agent.pem");
  EXPECT_EQ(read->agent.key, read->agent.certificate);
  EXPECT_EQ(read->user.certificate, "/nowhere/brood/certs/user.pem");
  EXPECT_EQ(read->user.ca, "/nowhere/brood/certs/ca.pem");
  EXPECT_TRUE(read->roles.empty());
}

TEST(ConfigurationTest, NamesFilesAndRoles) {
  const Result<Configuration> read = ParseConfiguration(R"(
[agent]
certificate = "a.pem"
key = "/k/a.key"
[user]
certificate = "/u.pem"
ca = "all.pem"
[roles]
"brood://lab/user/eve" = "viewer"
"brood://lab/user/bob" = "none"
)",
                                                        "/etc/brood/config.toml");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->agent.certificate, "/etc/brood/a.pem");
  EXPECT_EQ(read->agent.key, "/k/a.key");
  EXPECT_EQ(read->agent.ca, "/etc/brood/certs/ca.pem");
  EXPECT_EQ(read->user.key, "/u.pem");
  EXPECT_EQ(read->user.ca, "/etc/brood/all.pem");
  EXPECT_EQ(read->roles.at("brood://lab/user/eve"), RoleName::kViewer);
  EXPECT_EQ(read->roles.at("brood://lab/user/bob"), RoleName::kNone);
}

TEST(ConfigurationTest, SaysWhereItIsWrong) {
  EXPECT_THAT(TroubleOf("[agent]\ncert = 'x'\n"),
              HasSubstr("'/etc/brood/config.toml', line 2: 'cert' is not understood"));
  EXPECT_THAT(TroubleOf("[agent]\nca = 7\n"), HasSubstr("line 2"));
  EXPECT_THAT(TroubleOf("[agents]\n"), HasSubstr("there are [agent], [user] and [roles]"));
  EXPECT_THAT(TroubleOf("roles = 'x'\n"), HasSubstr("line 1"));
  EXPECT_THAT(TroubleOf("[roles]\n'brood://lab/user/eve' = 'root'\n"), HasSubstr("'root'"));
  EXPECT_THAT(TroubleOf("[roles]\n'brood://lab/agent/n1' = 'viewer'\n"), HasSubstr("is no user"));
  EXPECT_THAT(TroubleOf("[roles\n"), HasSubstr("line 1"));
}

}  // namespace
}  // namespace brood
