// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace brood::cli {
namespace {

using ::testing::ElementsAre;

class WordsTest : public ::testing::Test {
 protected:
  WordsTest() {
    app_.add_option("-w,--hosts", set_);
    app_.add_flag("-d,--detach", detach_);
    app_.add_flag("-i", input_);
  }
  std::vector<std::string> Take(std::vector<std::string> arguments) {
    rest_ = std::move(arguments);
    return TakeWords(app_, rest_);
  }
  CLI::App app_;
  std::string set_;
  bool detach_ = false;
  bool input_ = false;
  std::vector<std::string> rest_;
};

TEST_F(WordsTest, EndsTheOptionsAtTheFirstWord) {
  EXPECT_THAT(Take({"-d", "ls", "-l", "--", "-w"}), ElementsAre("ls", "-l", "--", "-w"));
  EXPECT_THAT(rest_, ElementsAre("-d"));
}

TEST_F(WordsTest, TakesAnOptionsValueForNoWord) {
  EXPECT_THAT(Take({"-w", "a", "ls"}), ElementsAre("ls"));
  EXPECT_THAT(Take({"--hosts", "a", "ls"}), ElementsAre("ls"));
  EXPECT_THAT(Take({"--hosts=a", "ls"}), ElementsAre("ls"));
  EXPECT_THAT(Take({"-wa", "ls"}), ElementsAre("ls"));
  EXPECT_THAT(Take({"-diw", "a", "ls"}), ElementsAre("ls"));
  EXPECT_THAT(rest_, ElementsAre("-diw", "a"));
}

TEST_F(WordsTest, TakesEverythingAfterTheMark) {
  EXPECT_THAT(Take({"-d", "--", "-w", "--", "[1,2]", ""}), ElementsAre("-w", "--", "[1,2]", ""));
  EXPECT_THAT(rest_, ElementsAre("-d"));
}

TEST_F(WordsTest, TakesASingleDashForAWord) {
  EXPECT_THAT(Take({"-", "x"}), ElementsAre("-", "x"));
}

TEST_F(WordsTest, TakesANegativeNumberForAWord) {
  EXPECT_THAT(Take({"-d", "-1", "x"}), ElementsAre("-1", "x"));
  EXPECT_THAT(Take({"-.5"}), ElementsAre("-.5"));
}

TEST_F(WordsTest, LeavesWhatItDoesNotKnowToBeRefused) {
  EXPECT_THAT(Take({"--typo", "ls"}), ElementsAre("ls"));
  EXPECT_THAT(rest_, ElementsAre("--typo"));
  EXPECT_THAT(Take({"-w"}), ElementsAre());
}

}  // namespace
}  // namespace brood::cli
