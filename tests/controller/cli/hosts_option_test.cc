// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "controller/cli/command.h"
#include "tests/testing/temp_directory.h"

namespace brood::cli {
namespace {

class HostsOptionTest : public ::testing::Test {
 protected:
  HostsOptionTest() { AddHostsOption(app_, set_); }
  std::string Parse(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());  // As CLI11 takes them.
    app_.parse(words);
    return set_;
  }
  CLI::App app_;
  std::string set_;
};

TEST_F(HostsOptionTest, LeavesASingleSetAsItWasTyped) {
  EXPECT_EQ(Parse({"-w", "n[1-3]!n2"}), "n[1-3]!n2");
}

TEST_F(HostsOptionTest, JoinsSeveralAndTakesAwayWhatIsExcluded) {
  EXPECT_EQ(Parse({"-w", "a", "-x", "c,d", "--hosts", "b^c"}), "(a),(b^c)!(c,d)");
}

TEST_F(HostsOptionTest, ReadsTheFileThatACaretNames) {
  const testing::TempDirectory folder;
  std::ofstream(folder.path() + "/nodes") << "n1\nn2\n";
  EXPECT_EQ(Parse({"-w", "^" + folder.path() + "/nodes"}), "(n1),(n2)");
}

TEST_F(HostsOptionTest, ReadsAFileOnceBecauseItMayBeAPipe) {
  const testing::TempDirectory folder;
  const std::string path = folder.path() + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&path] { std::ofstream(path) << "n1\nn2\n"; });
  EXPECT_EQ(Parse({"-w", "^" + path, "-x", "n2"}), "((n1),(n2))!(n2)");
  writer.join();
}

TEST_F(HostsOptionTest, RefusesWhatIsMissing) {
  EXPECT_THROW(Parse({"-w", "^"}), CLI::ValidationError);
  EXPECT_THROW(Parse({"-w", "^/no/such/file"}), CLI::ValidationError);
  EXPECT_THROW(Parse({"-w", ""}), CLI::ValidationError);
}

TEST_F(HostsOptionTest, LeavesOutOnlyOfWhatIsNamed) {
  EXPECT_THROW(Parse({"-x", "a"}), CLI::RequiresError);
}

}  // namespace
}  // namespace brood::cli
