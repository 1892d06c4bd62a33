// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/environment_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

class EnvironmentFileTest : public ::testing::Test {
 protected:
  void Open(EnvironmentFile::Options options = {}) {
    file_.reset();
    Result<std::unique_ptr<EnvironmentFile>> opened = EnvironmentFile::Open(path_, options);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    file_ = *std::move(opened);
  }
  std::vector<std::pair<uint64_t, std::string>> Kept() const {
    std::vector<std::pair<uint64_t, std::string>> kept;
    for (const auto& [job_key, bytes] : file_->kept()) kept.emplace_back(job_key, *bytes);
    return kept;
  }
  std::string OnDisk() const {
    std::ifstream file(path_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }

  const testing::TempDirectory directory_;
  const std::string path_ = directory_.path() + "/environments";
  std::unique_ptr<EnvironmentFile> file_;
};

TEST_F(EnvironmentFileTest, KeepsThemForTheNextWhoOpensIt) {
  Open();
  EXPECT_FALSE(file_->Keep({{1, "A=1"}, {2, "B=2"}}));
  EXPECT_FALSE(file_->Keep({{3, "C=3"}}));
  file_->Forget({2, 77});
  Open();
  // Who has been forgotten may come again: it has started, and nobody asks.
  EXPECT_THAT(Kept(), ElementsAre(Pair(1, "A=1"), Pair(2, "B=2"), Pair(3, "C=3")));
}

TEST_F(EnvironmentFileTest, IsForItsUserOnly) {
  Open();
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(EnvironmentFileTest, ForgetsTheBytesWithTheLastJobThatWaits) {
  Open();
  EXPECT_FALSE(file_->Keep({{1, "TOKEN=hush"}, {2, "TOKEN=hush"}}));
  EXPECT_NE(OnDisk().find("hush"), std::string::npos);
  file_->Forget({1});
  file_->Forget({2});
  EXPECT_EQ(OnDisk().find("hush"), std::string::npos);
  EXPECT_FALSE(file_->Keep({{3, "TOKEN=hush"}}));
  Open();
  EXPECT_THAT(Kept(), ElementsAre(Pair(3, "TOKEN=hush")));
}

TEST_F(EnvironmentFileTest, NeighboursThatHaveTheSameShareIt) {
  Open();
  const std::string large(10'000, 'x');
  EXPECT_FALSE(file_->Keep({{1, large}, {2, large}}));
  EXPECT_FALSE(file_->Keep({{3, large}, {4, "other"}, {5, "other"}}));
  EXPECT_LT(file_->file_bytes(), 11'000u);
  file_->Forget({1});
  Open();
  EXPECT_THAT(Kept(), ElementsAre(Pair(1, large), Pair(2, large), Pair(3, large), Pair(4, "other"),
                                  Pair(5, "other")));
}

TEST_F(EnvironmentFileTest, IsWrittenAnewWhenItIsMostlyOfJobsThatHaveStarted) {
  EnvironmentFile::Options options;
  options.rewrite_bytes = 50'000;
  Open(options);
  const std::string large(1'000, 'x');
  for (uint64_t key = 1; key <= 1'000; ++key) {
    ASSERT_FALSE(file_->Keep({{key, large + std::to_string(key)}}));
    if (key > 10) file_->Forget({key - 10});
    EXPECT_LT(file_->file_bytes(), 52'000u);
  }
  Open(options);
  for (uint64_t key = 991; key <= 1'000; ++key)
    EXPECT_EQ(*file_->kept().at(key), large + std::to_string(key));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

// Whatever was written of a batch when its writer died: what is whole is there, in order, and the
// next can go on.
TEST_F(EnvironmentFileTest, CutsATornEndWhereverItIsTorn) {
  Open();
  EXPECT_FALSE(file_->Keep({{1, "first"}, {2, "first"}, {3, "third"}}));
  const std::string whole = OnDisk();
  for (size_t size = 0; size < whole.size(); ++size) {
    file_.reset();
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    Open();
    const size_t kept = file_->kept().size();
    EXPECT_LT(kept, 3u) << size;
    EXPECT_FALSE(file_->Keep({{9, "later"}})) << size;
    Open();
    EXPECT_EQ(file_->kept().size(), kept + 1) << size;
    EXPECT_EQ(*file_->kept().at(9), "later") << size;
    if (kept > 0) {
      EXPECT_EQ(*file_->kept().at(1), "first") << size;
    }
  }
}

TEST_F(EnvironmentFileTest, LeavesNoSecretOfAnAgentThatDiedWithinARewrite) {
  std::ofstream(path_ + ".new") << "TOKEN=secret";
  Open();
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(EnvironmentFileTest, RefusesAFileOfSomethingElse) {
  std::ofstream(path_) << "this was written by somebody else";
  const auto opened = EnvironmentFile::Open(path_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss);
  EXPECT_NE(opened.error().message.find(path_), std::string::npos);
}

}  // namespace
}  // namespace brood
