// SPDX-License-Identifier: Apache-2.0
//
// Snapshots beside the segments: which one is begun with, and what may be deleted since.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "agent/journal/file_journal.h"
#include "agent/journal/journal_format.h"
#include "agent/journal/snapshot_file.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void WriteBytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string Flipped(std::string bytes, size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
  return bytes;
}

class JournalSnapshotTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Journal>> TryOpen() {
    return FileJournal::Open(directory_, options_, "boot");
  }
  std::unique_ptr<Journal> Open() {
    Result<std::unique_ptr<Journal>> journal = TryOpen();
    EXPECT_TRUE(journal.ok()) << (journal.ok() ? "" : journal.error().message);
    return journal.ok() ? *std::move(journal) : nullptr;
  }
  static void Append(Journal* journal, uint64_t last) {
    while (journal->head() < last) {
      const uint64_t cursor = journal->head() + 1;
      ASSERT_FALSE(journal->Append({{cursor, 1, "event " + std::to_string(cursor)}}));
    }
  }
  static std::vector<std::string> Parts(const Journal& journal) {
    std::vector<std::string> parts;
    const Status bad =
        journal.ReadSnapshot([&](std::string_view part) { parts.emplace_back(part); });
    EXPECT_FALSE(bad) << bad->message;
    return parts;
  }
  // How many events can be read from there on; or the error.
  static Result<uint64_t> Count(const Journal& journal, uint64_t after) {
    uint64_t count = 0;
    if (Status bad = journal.Read(after, [&](uint64_t cursor, uint64_t, std::string_view bytes) {
          EXPECT_EQ(bytes, "event " + std::to_string(cursor));
          ++count;
          return true;
        })) {
      return *bad;
    }
    return count;
  }
  std::vector<fs::path> Files(const std::string& extension) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      if (entry.path().extension() == extension) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  const testing::TempDirectory folder_;
  const std::string directory_ = folder_.path() + "/journal";
  Journal::Options options_{.segment_bytes = 4096, .retained_bytes = 1 << 20, .tail_bytes = 4096};
};

TEST_F(JournalSnapshotTest, TheNewestOneIsBegunWith) {
  {
    const auto journal = Open();
    EXPECT_EQ(journal->restored_cursor(), 0u);
    Append(journal.get(), 200);
    EXPECT_FALSE(journal->WriteSnapshot(100, {"old"}));
    EXPECT_FALSE(journal->WriteSnapshot(200, {"new", "", "part"}));
    Append(journal.get(), 300);
    EXPECT_TRUE(journal->WriteSnapshot(301, {"of what is not there"}));
  }
  const auto journal = Open();
  EXPECT_EQ(journal->restored_cursor(), 200u);
  EXPECT_THAT(Parts(*journal), ElementsAre("new", "", "part"));
  EXPECT_EQ(*Count(*journal, 200), 100u);
  EXPECT_EQ(*Count(*journal, 0), 300u);
  EXPECT_TRUE(journal->notices().empty());
}

TEST_F(JournalSnapshotTest, NothingIsDeletedThatTheOlderOfTwoHasNot) {
  options_.retained_bytes = 4096;
  const auto journal = Open();
  Append(journal.get(), 1'000);
  EXPECT_EQ(journal->oldest(), 1u);
  EXPECT_FALSE(journal->WriteSnapshot(500, {"first"}));
  Append(journal.get(), 1'500);
  EXPECT_EQ(journal->oldest(), 1u) << "the day on which that one is damaged";
  EXPECT_FALSE(journal->WriteSnapshot(1'500, {"second"}));
  EXPECT_GT(journal->oldest(), 1u);
  EXPECT_LE(journal->oldest(), 501u);
  Append(journal.get(), 1'600);
  EXPECT_FALSE(journal->WriteSnapshot(1'600, {"third"}));
  EXPECT_EQ(Files(".snapshot").size(), 2u);
}

TEST_F(JournalSnapshotTest, WhatIsOldGoesButWhatIsNeeded) {
  options_.retained_ns = 3'600'000'000'000;
  const auto journal = Open();
  Append(journal.get(), 1'000);
  EXPECT_FALSE(journal->WriteSnapshot(400, {"first"}));
  EXPECT_FALSE(journal->WriteSnapshot(1'000, {"second"}));
  EXPECT_EQ(journal->oldest(), 1u);
  const std::vector<fs::path> segments = Files(".log");
  for (const fs::path& segment : segments) {
    timespec times[2] = {};
    ASSERT_EQ(::clock_gettime(CLOCK_REALTIME, &times[1]), 0);
    times[0] = times[1];
    times[1].tv_sec -= 7'200;
    ASSERT_EQ(::utimensat(AT_FDCWD, segment.c_str(), times, 0), 0);
  }
  journal->Retain();
  EXPECT_GT(journal->oldest(), 1u);
  EXPECT_LE(journal->oldest(), 401u);
  EXPECT_LT(Files(".log").size(), segments.size());
  EXPECT_EQ(*Count(*journal, 400), 600u);
}

TEST_F(JournalSnapshotTest, ADamagedOneIsPassedOverAndTheOneBeforeIsRight) {
  {
    const auto journal = Open();
    Append(journal.get(), 300);
    EXPECT_FALSE(journal->WriteSnapshot(100, {"old"}));
    EXPECT_FALSE(journal->WriteSnapshot(200, {"new", "part"}));
  }
  const std::vector<fs::path> files = Files(".snapshot");
  const std::string whole = Bytes(files[1]);
  std::vector<std::string> broken = {"", whole.substr(0, 50), whole.substr(0, whole.size() - 1),
                                     whole + "x", Bytes(files[0])};
  for (size_t i = 0; i < whole.size(); ++i) broken.push_back(Flipped(whole, i));
  for (const std::string& bytes : broken) {
    WriteBytes(files[1], bytes);
    const auto journal = Open();
    ASSERT_NE(journal, nullptr);
    ASSERT_EQ(journal->restored_cursor(), 100u);
    ASSERT_THAT(Parts(*journal), ElementsAre("old"));
    ASSERT_EQ(journal->notices().size(), 1u);
    ASSERT_THAT(journal->notices()[0], HasSubstr(files[1].string()));
  }
  WriteBytes(files[0], "neither");
  EXPECT_EQ(Open()->restored_cursor(), 0u) << "all events are kept: nothing is lost";
  const auto journal = Open();
  EXPECT_FALSE(journal->WriteSnapshot(250, {"a"}));
  EXPECT_FALSE(journal->WriteSnapshot(300, {"b"}));
  EXPECT_EQ(Files(".snapshot").size(), 2u) << "the damaged ones are needed no more";
}

TEST_F(JournalSnapshotTest, WhatNoSnapshotHasIsNotBegunWithout) {
  options_.retained_bytes = 4096;
  {
    const auto journal = Open();
    Append(journal.get(), 1'000);
    EXPECT_FALSE(journal->WriteSnapshot(500, {"old"}));
    EXPECT_FALSE(journal->WriteSnapshot(1'000, {"new"}));
    ASSERT_GT(journal->oldest(), 1u);
  }
  const std::vector<fs::path> files = Files(".snapshot");
  const std::string newest = Bytes(files[1]);
  for (const fs::path& file : files) WriteBytes(file, Flipped(Bytes(file), 140));
  const auto refused = TryOpen();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kDataLoss);
  EXPECT_THAT(refused.error().message, HasSubstr(files[0].string()));
  EXPECT_THAT(refused.error().message, HasSubstr("offset"));
  WriteBytes(files[1], newest);
  EXPECT_EQ(Open()->restored_cursor(), 1'000u);
  for (const fs::path& file : files) fs::remove(file);
  const auto journal = Open();
  EXPECT_EQ(journal->restored_cursor(), 0u);
  ASSERT_EQ(journal->notices().size(), 1u) << "as those who remove them were told";
}

TEST_F(JournalSnapshotTest, DamageBeforeItIsFoundWhenItIsRead) {
  {
    const auto journal = Open();
    Append(journal.get(), 1'000);
    EXPECT_FALSE(journal->WriteSnapshot(900, {"state"}));
  }
  const std::vector<fs::path> segments = Files(".log");
  const std::string whole = Bytes(segments[2]);
  WriteBytes(segments[2], Flipped(whole, 1'000));
  auto journal = Open();
  ASSERT_NE(journal, nullptr);
  EXPECT_EQ(journal->head(), 1'000u);
  EXPECT_EQ(*Count(*journal, 900), 100u);
  const Result<uint64_t> read = Count(*journal, 0);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kDataLoss);
  EXPECT_THAT(read.error().message, HasSubstr(segments[2].string()));
  EXPECT_THAT(read.error().message, HasSubstr("offset"));
  // Whoever begins behind it does not meet it.
  const uint64_t behind = std::stoull(segments[3].stem().string()) - 1;
  ASSERT_LT(behind, 900u);
  EXPECT_EQ(*Count(*journal, behind), 1'000 - behind);
  EXPECT_FALSE(Count(*journal, behind - 1).ok());
  journal.reset();
  // Shorter than the next segment says.
  WriteBytes(segments[2], whole.substr(0, 128));
  EXPECT_FALSE(Count(*Open(), 0).ok());
  WriteBytes(segments[2], whole);
  EXPECT_EQ(*Count(*Open(), 0), 1'000u);
}

TEST_F(JournalSnapshotTest, WhatASnapshotHasIsNoTornTail) {
  {
    const auto journal = Open();
    Append(journal.get(), 20);
    EXPECT_FALSE(journal->WriteSnapshot(18, {"state"}));
  }
  const fs::path segment = Files(".log")[0];
  const std::string whole = Bytes(segment);
  const size_t record = RecordBytes(std::string("event 20").size());
  WriteBytes(segment, whole.substr(0, whole.size() - record - 1));
  EXPECT_EQ(Open()->head(), 18u);
  WriteBytes(segment, whole.substr(0, whole.size() - 2 * record - 1));
  const auto torn = TryOpen();
  ASSERT_FALSE(torn.ok());
  EXPECT_EQ(torn.error().code, ErrorCode::kDataLoss);
  WriteBytes(segment, whole.substr(0, sizeof(SegmentHeader)));
  EXPECT_FALSE(TryOpen().ok()) << "no record is torn, but some are not there";
  fs::remove(segment);
  EXPECT_FALSE(TryOpen().ok());
}

}  // namespace
}  // namespace brood
