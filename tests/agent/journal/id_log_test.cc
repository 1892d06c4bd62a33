// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/id_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "agent/journal/journal_format.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string Entries(uint64_t first, uint64_t count) {
  std::string bytes;
  for (uint64_t i = first; i < first + count; ++i) {
    std::string entry = "entry " + std::to_string(i);
    entry.resize(IdLog::kEntryBytes);
    bytes += entry;
  }
  return bytes;
}

class IdLogTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<IdLog>> TryOpen(uint64_t total) {
    return IdLog::Open(&disk_, folder_.path(), "0123456789abcdef", total, {100, 40});
  }
  std::unique_ptr<IdLog> Open(uint64_t total) {
    Result<std::unique_ptr<IdLog>> log = TryOpen(total);
    EXPECT_TRUE(log.ok()) << (log.ok() ? "" : log.error().message);
    return log.ok() ? *std::move(log) : nullptr;
  }
  std::vector<fs::path> Files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_.path())) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }

  const testing::TempDirectory folder_;
  DiskFiles disk_;
};

TEST_F(IdLogTest, GivesBackWhatBelongsToTheStateAndCutsTheRest) {
  {
    const auto log = Open(0);
    EXPECT_FALSE(log->Append(Entries(0, 10)));
    EXPECT_FALSE(log->Append(Entries(10, 35)));
    EXPECT_FALSE(log->Append(Entries(45, 5)));
    EXPECT_EQ(Files().size(), 2u);
  }
  EXPECT_EQ(Open(50)->TakeEntries(), Entries(0, 50));
  EXPECT_EQ(Open(45)->TakeEntries(), Entries(0, 45));
  const auto log = Open(10);
  EXPECT_EQ(log->TakeEntries(), Entries(0, 10));
  EXPECT_EQ(log->total(), 10u);
  EXPECT_FALSE(log->Append(Entries(10, 2)));
  EXPECT_EQ(Open(12)->TakeEntries(), Entries(0, 12));
  EXPECT_EQ(Open(IdLog::kAll)->TakeEntries(), Entries(0, 12));
  EXPECT_FALSE(TryOpen(13).ok()) << "one is missing";
}

TEST_F(IdLogTest, KeepsTheNewestAndRemovesOldFiles) {
  const auto log = Open(0);
  for (uint64_t i = 0; i < 1'000; i += 20) EXPECT_FALSE(log->Append(Entries(i, 20)));
  EXPECT_LE(Files().size(), 4u);
  EXPECT_EQ(Open(1'000)->TakeEntries(), Entries(900, 100));
  // An older snapshot: the oldest of its ids may have gone.
  const std::string older = Open(980)->TakeEntries();
  EXPECT_TRUE(Entries(880, 100).ends_with(older));
  EXPECT_GE(older.size(), 60 * IdLog::kEntryBytes);
}

TEST_F(IdLogTest, RefusesDamageAndNamesTheOffset) {
  {
    const auto log = Open(0);
    EXPECT_FALSE(log->Append(Entries(0, 3)));
    EXPECT_FALSE(log->Append(Entries(3, 3)));
  }
  const fs::path path = Files()[0];
  std::ostringstream whole;
  whole << std::ifstream(path, std::ios::binary).rdbuf();
  for (size_t i = 0; i < whole.str().size(); ++i) {
    std::string bytes = whole.str();
    bytes[i] = static_cast<char>(bytes[i] ^ 1);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    const auto log = TryOpen(6);
    ASSERT_FALSE(log.ok()) << i;
    ASSERT_EQ(log.error().code, ErrorCode::kDataLoss);
    ASSERT_THAT(log.error().message, HasSubstr(path.string()));
    if (i >= 128) {
      ASSERT_THAT(log.error().message, HasSubstr("offset"));
    }
  }
}

// As an agent that opens it would.
TEST_F(IdLogTest, WhoOnlyLooksTellsATornEndFromARecordThatIsNotTheNext) {
  EXPECT_FALSE(Open(0)->Append(Entries(0, 3)));
  const std::string path = Files()[0].string();
  std::ostringstream whole;
  whole << std::ifstream(path, std::ios::binary).rdbuf();
  const std::string record = whole.str().substr(sizeof(SideHeader));
  uint64_t count = 0;
  bool torn = false;
  const auto read = [&](const std::string& behind) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole.str() << behind;
    return ReadIdFile(path, "0123456789abcdef", 0, &count, &torn);
  };
  EXPECT_FALSE(read(""));
  EXPECT_EQ(count, 3u);
  EXPECT_FALSE(torn);
  EXPECT_FALSE(read(record.substr(1)));
  EXPECT_EQ(count, 3u);
  EXPECT_TRUE(torn);
  const Status twice = read(record);
  ASSERT_TRUE(twice.has_value()) << "entry 0 again";
  EXPECT_EQ(twice->code, ErrorCode::kDataLoss);
  EXPECT_THAT(twice->message, HasSubstr("no whole record of entry 3"));
  EXPECT_FALSE(TryOpen(IdLog::kAll).ok());
}

TEST_F(IdLogTest, IsGivenUpOnlyByThoseWhoRemoveAllOfIt) {
  {
    const auto log = Open(0);
    for (uint64_t i = 0; i < 80; i += 20) EXPECT_FALSE(log->Append(Entries(i, 20)));
  }
  ASSERT_EQ(Files().size(), 2u);
  const fs::path last = Files()[1];
  fs::rename(Files()[0], folder_.path() + "/aside");
  EXPECT_FALSE(TryOpen(80).ok());
  fs::remove(folder_.path() + "/aside");
  fs::remove(last);
  {
    const auto log = Open(80);
    EXPECT_TRUE(log->gave_up());
    EXPECT_EQ(log->TakeEntries(), "");
    EXPECT_FALSE(log->Append(Entries(80, 4)));
  }
  const auto log = Open(84);
  EXPECT_FALSE(log->gave_up());
  EXPECT_EQ(log->TakeEntries(), Entries(80, 4));
}

}  // namespace
}  // namespace brood
