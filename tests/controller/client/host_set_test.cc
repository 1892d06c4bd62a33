// SPDX-License-Identifier: Apache-2.0
#include "controller/client/host_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "controller/client/host_fold.h"

namespace brood {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<std::string> NoGroups(const std::string& group) {
  return Error{ErrorCode::kNotFound, "UNKNOWN_HOST", "no group " + group, "hosts"};
}

std::vector<std::string> Expand(const std::string& text) {
  Result<std::vector<std::string>> names = ExpandHostSet(text, NoGroups);
  EXPECT_TRUE(names.ok()) << names.error().message;
  return names.ok() ? *names : std::vector<std::string>();
}

std::string Refusal(const std::string& text) {
  const Result<std::vector<std::string>> names = ExpandHostSet(text, NoGroups);
  EXPECT_FALSE(names.ok()) << text;
  if (names.ok()) return "";
  EXPECT_EQ(names.error().field, "hosts");
  return names.error().message;
}

TEST(HostSetTest, ReadsNamesBetweenCommasInTheirOrder) {
  EXPECT_THAT(Expand("b,a"), ElementsAre("b", "a"));
  EXPECT_THAT(Expand("node.example-1_x"), ElementsAre("node.example-1_x"));
}

TEST(HostSetTest, ExpandsRangesAndKeepsZerosInFront) {
  EXPECT_THAT(Expand("host[1-3]"), ElementsAre("host1", "host2", "host3"));
  EXPECT_THAT(Expand("n[01-03]"), ElementsAre("n01", "n02", "n03"));
  EXPECT_THAT(Expand("n[098-101]"), ElementsAre("n098", "n099", "n100", "n101"));
  EXPECT_THAT(Expand("n[8-11]"), ElementsAre("n8", "n9", "n10", "n11"));
  EXPECT_THAT(Expand("n[1-2,07,9]x"), ElementsAre("n1x", "n2x", "n07x", "n9x"));
}

TEST(HostSetTest, CombinesSeveralBracketsTheLastOneFastest) {
  EXPECT_THAT(Expand("r[1-2]n[1-2]"), ElementsAre("r1n1", "r1n2", "r2n1", "r2n2"));
}

TEST(HostSetTest, NamesEachHostOnceWhereItStoodFirst) {
  EXPECT_THAT(Expand("n2,n[1-3],n1"), ElementsAre("n2", "n1", "n3"));
}

TEST(HostSetTest, ReadsEachGroupOnceHoweverOftenAndDeepItIsNamed) {
  int asked = 0;
  const auto levels = [&asked](const std::string& group) -> Result<std::string> {
    ++asked;
    const int level = std::stoi(group.substr(1));
    const std::string next = "@g" + std::to_string(level + 1);
    return level == 40 ? "n[1-3]" : next + "," + next + "," + next;
  };
  const Result<std::vector<std::string>> names = ExpandHostSet("@g1,@g1", levels);
  ASSERT_TRUE(names.ok()) << names.error().message;
  EXPECT_THAT(*names, ElementsAre("n1", "n2", "n3"));
  EXPECT_EQ(asked, 40);
}

TEST(HostSetTest, RefusesWhatWouldTakeForEver) {
  const auto fleet = [](const std::string&) -> Result<std::string> {
    return std::string("n[1-9999]");
  };
  std::string text = "@a";
  for (int i = 0; i < 2'000; ++i) text += "!x,@a";
  const Result<std::vector<std::string>> names = ExpandHostSet(text, fleet);
  ASSERT_FALSE(names.ok());
  EXPECT_EQ(names.error().reason, "HOST_SET_TOO_COSTLY");
  EXPECT_LT(names.error().message.size(), 600u);
}

TEST(HostSetTest, TakesATextOfAsManyNamesAsItMayStandFor) {
  std::string text = "first-of-many";
  for (size_t i = 1; i < kHostSetMax; ++i)
    text += ",a-name-that-does-not-fold-" + std::to_string(i * i);
  EXPECT_EQ(Expand(text).size(), kHostSetMax);
  EXPECT_THAT(Refusal(text + ",]"), AllOf(HasSubstr("host set '…"), HasSubstr(",]', position ")));
}

TEST(HostSetTest, SaysWhereAFileOfHostsBelongs) {
  EXPECT_THAT(Refusal("node1,^f"), HasSubstr("-w SET -w ^FILE"));
  EXPECT_THAT(Refusal("node1,"), HasSubstr("a name is missing"));
}

TEST(HostSetTest, PutsAGroupsHostsWhereTheGroupStands) {
  const std::map<std::string, std::string> groups = {{"web", "w[1-2]"}, {"all", "@web,db"}};
  const Result<std::vector<std::string>> names = ExpandHostSet(
      "x,@all,w2",
      [&](const std::string& group) -> Result<std::string> { return groups.at(group); });
  ASSERT_TRUE(names.ok());
  EXPECT_THAT(*names, ElementsAre("x", "w1", "w2", "db"));
}

TEST(HostSetTest, RefusesAGroupThatContainsItself) {
  const Result<std::vector<std::string>> names =
      ExpandHostSet("@a", [](const std::string&) -> Result<std::string> { return {"@a"}; });
  ASSERT_FALSE(names.ok());
  EXPECT_THAT(names.error().message, HasSubstr("contains itself"));
}

TEST(HostSetTest, HandsOnWhatTheLookUpOfAGroupSays) {
  EXPECT_THAT(Refusal("@nobody"), HasSubstr("no group nobody"));
}

TEST(HostSetTest, SaysWhereAMalformedSetIsWrong) {
  EXPECT_THAT(Refusal(""), HasSubstr("it is empty"));
  EXPECT_THAT(Refusal("a,,b"), HasSubstr("position 3: a name is missing"));
  EXPECT_THAT(Refusal("a,"), HasSubstr("position 3: a name is missing"));
  EXPECT_THAT(Refusal("n[1-3"), HasSubstr("position 2: '[' is not closed"));
  EXPECT_THAT(Refusal("n1]"), HasSubstr("position 3: ']'"));
  EXPECT_THAT(Refusal("n[]"), HasSubstr("a number is missing"));
  EXPECT_THAT(Refusal("n[1-]"), HasSubstr("a number is missing"));
  EXPECT_THAT(Refusal("n[a-b]"), HasSubstr("a number is missing"));
  EXPECT_THAT(Refusal("n[3-1]"), HasSubstr("goes backwards"));
  EXPECT_THAT(Refusal("n[1-03]"), HasSubstr("zeros"));
  EXPECT_THAT(Refusal("n[1;2]"), HasSubstr("';' is not understood in brackets"));
  EXPECT_THAT(Refusal("a b"), HasSubstr("position 2: ' ' is not understood"));
  EXPECT_THAT(Refusal("!a"), HasSubstr("position 1: a name is missing"));
  EXPECT_THAT(Refusal("a&"), HasSubstr("position 3: a name is missing"));
  EXPECT_THAT(Refusal("(a,b"), HasSubstr("position 1: '(' is not closed"));
  EXPECT_THAT(Refusal("a)"), HasSubstr("position 2: ')' closes nothing"));
  EXPECT_THAT(Refusal("(a)b"), HasSubstr("position 4: 'b' is not understood"));
  EXPECT_THAT(Refusal(std::string(1000, '(')), HasSubstr("stand in each other"));
  EXPECT_THAT(Refusal("n[1-9/0]"), HasSubstr("has no step"));
  EXPECT_THAT(Refusal("@"), HasSubstr("group's name is missing"));
  EXPECT_THAT(Refusal("@a/b"), HasSubstr("'/' is not understood"));
  EXPECT_THAT(Refusal("-a"), HasSubstr("no host name"));
  EXPECT_THAT(Refusal("../etc"), HasSubstr("not"));
  EXPECT_THAT(Refusal("n[1-12345678901]"), HasSubstr("digits"));
  EXPECT_THAT(Refusal(std::string(254, 'a')), HasSubstr("no host name"));
  EXPECT_THAT(Refusal(std::string("a\0b", 3)), HasSubstr("position 2"));
}

TEST(HostSetTest, TakesAwayKeepsTheCommonAndTheSingleFromLeftToRight) {
  EXPECT_THAT(Expand("n[1-4]!n[2-3]"), ElementsAre("n1", "n4"));
  EXPECT_THAT(Expand("n[1-5]&n[7,3-4]"), ElementsAre("n3", "n4"));
  EXPECT_THAT(Expand("n[1-3]^n[3-5]"), ElementsAre("n1", "n2", "n4", "n5"));
  EXPECT_THAT(Expand("a!b!c,b"), ElementsAre("a", "b"));
  EXPECT_THAT(Expand("a,b!(b,c)"), ElementsAre("a"));
  EXPECT_THAT(Expand("n[1-3]!n[1-3]"), IsEmpty());
}

TEST(HostSetTest, GoesThroughARangeByItsStep) {
  EXPECT_THAT(Expand("n[1-9/4]"), ElementsAre("n1", "n5", "n9"));
  EXPECT_THAT(Expand("n[08-12/2]"), ElementsAre("n08", "n10", "n12"));
}

TEST(HostSetTest, TakesSeveralGroupsByOneTerm) {
  const Result<std::vector<std::string>> names =
      ExpandHostSet("@g[1-2]!b", [](const std::string& group) -> Result<std::string> {
        return std::string(group == "g1" ? "a,b" : "c");
      });
  ASSERT_TRUE(names.ok()) << names.error().message;
  EXPECT_THAT(*names, ElementsAre("a", "c"));
}

TEST(HostFoldTest, PutsNumbersOfOneNameIntoOneBracket) {
  EXPECT_EQ(FoldHosts({}), "");
  EXPECT_EQ(FoldHosts({"web"}), "web");
  EXPECT_EQ(FoldHosts({"node9", "node07", "x", "node10", "node08"}), "node[9,07-08,10],x");
  EXPECT_EQ(FoldHosts({"n099", "n100", "n098"}), "n[098-100]");
  EXPECT_EQ(FoldHosts({"n98", "n99", "n100"}), "n[98-100]");
  EXPECT_EQ(FoldHosts({"n08", "n09", "n100"}), "n[08-09,100]");
}

TEST(HostFoldTest, CombinesSeveralNumbersWhereAllCombinationsAreThere) {
  EXPECT_EQ(FoldHosts({"r1n1", "r1n2", "r2n1", "r2n2"}), "r[1-2]n[1-2]");
  EXPECT_EQ(FoldHosts({"r1n1", "r1n2", "r2n2"}), "r1n[1-2],r2n2");
}

TEST(HostSetTest, RefusesMoreHostsThanItsLimit) {
  EXPECT_EQ(Expand("n[1-10000]").size(), kHostSetMax);
  EXPECT_THAT(Refusal("n[1-10001]"), HasSubstr("more than 10000"));
  EXPECT_THAT(Refusal("n[1-10000],x"), HasSubstr("more than 10000"));
  EXPECT_THAT(Refusal("a[1-9000]b[1-9000]c[1-9000]"), HasSubstr("more than 10000"));
  EXPECT_THAT(Refusal("n[0-999999999]"), HasSubstr("more than 10000"));
  EXPECT_THAT(Refusal(std::string(kHostSetTextMax + 1, 'a')), HasSubstr("longer than"));
}

}  // namespace
}  // namespace brood
