// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "agent/supervisor/options.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

Result<SupervisorOptions> Parse(std::vector<std::string> words) {
  words.insert(words.begin(), "brood-supervisor");
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  return ParseSupervisorOptions(static_cast<int>(pointers.size()), pointers.data());
}

TEST(SupervisorOptionsTest, TakesAllThatTheAgentSays) {
  const auto options = Parse({"--directory", "/d", "--socket", "/s", "--incarnation",
                              "18446744073709551615", "--ready-fd", "7"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->directory, "/d");
  EXPECT_EQ(options->socket_path, "/s");
  EXPECT_EQ(options->incarnation, UINT64_MAX);
  EXPECT_EQ(options->ready_fd, 7);
  EXPECT_THAT(options->parent_program, EndsWith("/brood-parent"));
}

struct Refused {
  std::vector<std::string> words;
  const char* sentence;
};

TEST(SupervisorOptionsTest, NamesTheOptionAtFault) {
  const Refused cases[] = {
      {{}, "'--directory' is missing"},
      {{"--directory", "/d"}, "'--socket' is missing"},
      {{"--directory", "/d", "--socket", "/s"}, "'--incarnation' is missing"},
      {{"--directory", "/d", "--socket", "/s", "--incarnation", "0"}, "'--incarnation'"},
      {{"--incarnation", "1x"}, "'--incarnation' cannot be '1x'"},
      {{"--incarnation", "-1"}, "'--incarnation' cannot be '-1'"},
      {{"--ready-fd", "-1"}, "'--ready-fd' cannot be '-1'"},
      {{"--ready-fd", ""}, "'--ready-fd' cannot be ''"},
      {{"--directory"}, "'--directory' has no value"},
      {{"--verbose", "1"}, "unknown option '--verbose'"},
  };
  for (const Refused& one : cases) {
    const auto options = Parse(one.words);
    ASSERT_FALSE(options.ok()) << one.sentence;
    EXPECT_THAT(options.error().message, HasSubstr(one.sentence));
    EXPECT_EQ(options.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace brood
