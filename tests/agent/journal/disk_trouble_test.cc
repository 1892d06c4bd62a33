// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "agent/journal/environment_file.h"
#include "agent/journal/file_journal.h"
#include "agent/journal/journal_format.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tried_files.h"

namespace brood {
namespace {

using testing::TriedFiles;
using What = TriedFiles::What;
using Call = TriedFiles::Call;

class DiskTroubleTest : public ::testing::Test {
 protected:
  void Open() {
    journal_.reset();
    Journal::Options options;
    options.segment_bytes = 4096;
    options.files = &files_;
    Result<std::unique_ptr<Journal>> opened = FileJournal::Open(folder_, options, "boot-1");
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    journal_ = *std::move(opened);
  }
  // `count` more of so many bytes.
  Status Append(size_t count, size_t bytes = 100) {
    std::vector<JournalRecord> records;
    for (size_t i = 1; i <= count; ++i)
      records.push_back({journal_->head() + i, 7, std::string(bytes, 'x')});
    return journal_->Append(records);
  }
  size_t CountReadable() const {
    size_t count = 0;
    const Status bad = journal_->Read(journal_->oldest() - 1, [&](uint64_t, uint64_t, auto) {
      ++count;
      return true;
    });
    EXPECT_FALSE(bad) << bad->message;
    return count;
  }

  const testing::TempDirectory directory_;
  const std::string folder_ = directory_.path() + "/journal";
  TriedFiles files_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(DiskTroubleTest, AFullDiskIsToldOfWhileThereIsRoomForAWholeSegment) {
  Open();
  ASSERT_FALSE(Append(1));
  ASSERT_FALSE(journal_->Trouble());
  files_.Fail(What::kPreallocate, "/spare", ENOSPC);
  // The spare file of before becomes a segment, and there is no room for another one.
  ASSERT_FALSE(Append(1, 3900));
  const Status trouble = journal_->Trouble();
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(trouble->reason, "JOURNAL_FULL");
  EXPECT_NE(trouble->message.find(folder_), std::string::npos) << trouble->message;
  EXPECT_NE(trouble->message.find("ENOSPC"), std::string::npos) << trouble->message;
  EXPECT_NE(trouble->message.find("make room"), std::string::npos) << trouble->message;
  ASSERT_FALSE(Append(1, 10)) << "an end still fits";
  EXPECT_TRUE(journal_->Recover()) << "nobody has made room";
  files_.Judge(nullptr);
  EXPECT_FALSE(journal_->Recover());
  EXPECT_FALSE(journal_->Trouble());
  ASSERT_FALSE(Append(1, 4000));
  Open();
  EXPECT_EQ(CountReadable(), 4u);
}

TEST_F(DiskTroubleTest, ATornEndThatCannotBeCutYetStaysInTheLastSegment) {
  Open();
  ASSERT_FALSE(Append(2));
  files_.Judge([](const Call& call) {
    return call.path.ends_with(".log") &&
                   (call.what == What::kWrite || call.what == What::kTruncate)
               ? EIO
               : 0;
  });
  ASSERT_TRUE(Append(1, 3000));
  // What now comes needs another segment, and could be written.
  files_.Fail(What::kTruncate, ".log", EIO);
  EXPECT_TRUE(Append(1, 3950));
  files_.Judge(nullptr);
  ASSERT_FALSE(Append(1, 3950));
  Open();
  EXPECT_EQ(CountReadable(), 3u);
}

TEST_F(DiskTroubleTest, LittleRoomOnTheDiskIsTrouble) {
  Open();
  files_.free_bytes = 100;
  const Status little = journal_->CheckRoom();
  ASSERT_TRUE(little);
  EXPECT_EQ(little->reason, "JOURNAL_FULL");
  EXPECT_TRUE(journal_->Trouble());
  files_.free_bytes = 1 << 30;
  EXPECT_FALSE(journal_->Recover());
}

TEST_F(DiskTroubleTest, EachErrorOfTheDiskHasAReasonAndLeavesNothingBehind) {
  Open();
  ASSERT_FALSE(Append(2));
  for (const auto& [error, reason] :
       std::vector<std::pair<int, std::string>>{{ENOSPC, "JOURNAL_FULL"},
                                                {EDQUOT, "JOURNAL_FULL"},
                                                {EROFS, "JOURNAL_FAILED"},
                                                {EIO, "JOURNAL_FAILED"}}) {
    files_.Fail(What::kWrite, ".log", error);
    const Status bad = Append(3);
    ASSERT_TRUE(bad) << error;
    EXPECT_EQ(bad->reason, reason);
    EXPECT_EQ(journal_->head(), 2u);
    files_.Judge(nullptr);
    Open();
    EXPECT_EQ(CountReadable(), 2u) << "half of a batch was written, and cut";
    EXPECT_EQ(journal_->epoch(), 1u) << "it was cut at once, not found torn";
  }
}

TEST_F(DiskTroubleTest, AHalfWrittenBatchThatCannotBeCutIsCutBeforeTheNext) {
  Open();
  ASSERT_FALSE(Append(2));
  files_.Judge([](const Call& call) {
    return call.what == What::kWrite || call.what == What::kTruncate ? EIO : 0;
  });
  ASSERT_TRUE(Append(3));
  ASSERT_TRUE(Append(3));
  files_.Judge(nullptr);
  ASSERT_FALSE(Append(1));
  Open();
  EXPECT_EQ(CountReadable(), 3u);
}

TEST_F(DiskTroubleTest, ASegmentIsOnTheDiskBeforeTheNextAppears) {
  Open();
  for (int i = 0; i < 20; ++i) ASSERT_FALSE(Append(5, 300));
  std::string last;    // the segment that is written to
  bool dirty = false;  // since its last sync
  size_t segments = 0;
  for (const Call& call : files_.done()) {
    if (call.what == What::kWrite && call.path.ends_with(".log")) dirty = true;
    if (call.what == What::kSync && call.path == last) dirty = false;
    if (call.what == What::kRename && call.path.ends_with(".log")) {
      EXPECT_FALSE(dirty) << call.path << " appeared before " << last << " was synced";
      last = call.path;
      ++segments;
    }
  }
  EXPECT_GT(segments, 5u);
}

TEST_F(DiskTroubleTest, ASyncTellsHowFarAndIncludesTheSegmentsName) {
  Open();
  ASSERT_FALSE(Append(3));
  const Result<uint64_t> through = journal_->Sync();
  ASSERT_TRUE(through.ok());
  EXPECT_EQ(*through, 3u);
  EXPECT_EQ(journal_->unsynced_bytes(), 0u);
  const std::vector<Call> done = files_.done();
  const auto last = [&](What what) {
    return std::find_if(
               done.rbegin(), done.rend(),
               [&](const Call& call) { return call.what == what && call.path.ends_with(".log"); }) -
           done.rbegin();
  };
  EXPECT_LT(last(What::kWrite), static_cast<ptrdiff_t>(done.size()));
  EXPECT_LT(last(What::kSync), last(What::kWrite)) << "written, then synced";
  EXPECT_GE(files_.Count(What::kSyncDirectory), 2u) << "of `epoch` and of the segment";
  ASSERT_FALSE(Append(1));
  EXPECT_GT(journal_->unsynced_bytes(), 0u);
}

TEST_F(DiskTroubleTest, AfterAFailedSyncThePagesAreWrittenAgainBeforeAnotherCounts) {
  Open();
  ASSERT_FALSE(Append(2));
  ASSERT_TRUE(journal_->Sync().ok());
  ASSERT_FALSE(Append(2));
  int syncs = 0;
  files_.Judge([&syncs](const Call& call) {
    if (call.what != What::kSync) return 0;
    // As the kernel does it: it says so once, and then takes the lost pages for clean.
    return ++syncs == 1 ? EIO : 0;
  });
  const Result<uint64_t> failed = journal_->Sync();
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().reason, "JOURNAL_FAILED");
  EXPECT_FALSE(journal_->Sync().ok()) << "it would succeed, and prove nothing";
  EXPECT_EQ(syncs, 1) << "the disk was not asked";
  EXPECT_TRUE(journal_->Trouble());
  ASSERT_FALSE(Append(1)) << "ends of jobs that run are still written";

  const size_t before = files_.done().size();
  ASSERT_FALSE(journal_->Recover());
  std::string again;
  for (const std::vector<Call> done = files_.done(); const Call& call : done) {
    if (&call - done.data() >= static_cast<ptrdiff_t>(before) && call.what == What::kWrite)
      again += call.bytes;
  }
  EXPECT_EQ(again.size(), 3 * RecordBytes(100)) << "those since the last good one";
  const Result<uint64_t> through = journal_->Sync();
  ASSERT_TRUE(through.ok());
  EXPECT_EQ(*through, 5u);
  Open();
  EXPECT_EQ(CountReadable(), 5u);
}

TEST_F(DiskTroubleTest, ASyncThatFailsWhereASegmentEndsAppendsNothing) {
  Open();
  ASSERT_FALSE(Append(1));
  files_.Fail(What::kSync, "", EIO);
  const Status bad = Append(1, 4000);
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->reason, "JOURNAL_FAILED");
  EXPECT_EQ(journal_->head(), 1u);
  files_.Judge(nullptr);
  ASSERT_FALSE(journal_->Recover());
  ASSERT_FALSE(Append(1, 4000));
  Open();
  EXPECT_EQ(CountReadable(), 2u);
}

// What a loss of power may leave: a later page is there, an earlier one is not.
class PowerLossTest : public DiskTroubleTest {
 protected:
  // The segment's bytes of the record with that cursor become zeros.
  void Erase(uint64_t cursor) {
    const size_t size = RecordBytes(100);
    const std::string segment = folder_ + "/" + SegmentName(1);
    std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(sizeof(SegmentHeader) + (cursor - 1) * size));
    file << std::string(size, '\0');
  }
  Result<std::unique_ptr<Journal>> OpenIn(const std::string& boot) {
    journal_.reset();
    Journal::Options options;
    options.segment_bytes = 4096;
    options.files = &files_;
    return FileJournal::Open(folder_, options, boot);
  }
};

TEST_F(PowerLossTest, AHoleInWhatWasNotSyncedIsCutWithAllBehindIt) {
  Open();
  ASSERT_FALSE(Append(4));
  ASSERT_TRUE(journal_->Sync().ok());
  ASSERT_FALSE(Append(4));
  Erase(6);
  Result<std::unique_ptr<Journal>> same = OpenIn("boot-1");
  ASSERT_FALSE(same.ok()) << "no power was lost: this is damage";
  EXPECT_EQ(same.error().code, ErrorCode::kDataLoss);
  Result<std::unique_ptr<Journal>> opened = OpenIn("boot-2");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  journal_ = *std::move(opened);
  EXPECT_EQ(journal_->head(), 5u);
  EXPECT_EQ(journal_->epoch(), 2u);
  ASSERT_FALSE(Append(1));
  EXPECT_EQ(CountReadable(), 6u);
}

TEST_F(PowerLossTest, AHoleInWhatWasSyncedIsDamageInEachBoot) {
  Open();
  ASSERT_FALSE(Append(4));
  ASSERT_TRUE(journal_->Sync().ok());
  ASSERT_FALSE(Append(4));
  Erase(4);
  for (const char* const boot : {"boot-2", "boot-3"}) {
    Result<std::unique_ptr<Journal>> opened = OpenIn(boot);
    ASSERT_FALSE(opened.ok()) << boot;
    EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss);
  }
}

TEST_F(PowerLossTest, WithoutItsMarkNothingIsKnownToHaveBeenSynced) {
  Open();
  ASSERT_FALSE(Append(4));
  ASSERT_TRUE(journal_->Sync().ok());
  std::ofstream(folder_ + "/synced") << "torn";
  Erase(2);
  Result<std::unique_ptr<Journal>> opened = OpenIn("boot-2");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ((*opened)->head(), 1u);
}

class EnvironmentTroubleTest : public DiskTroubleTest {
 protected:
  void OpenEnvironments() {
    environments_.reset();
    EnvironmentFile::Options options;
    options.files = &files_;
    auto opened = EnvironmentFile::Open(path_, options);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    environments_ = *std::move(opened);
  }
  const std::string path_ = directory_.path() + "/environments";
  std::unique_ptr<EnvironmentFile> environments_;
};

TEST_F(EnvironmentTroubleTest, WhatCouldNotBeWrittenIsWrittenOnceThereIsRoom) {
  OpenEnvironments();
  ASSERT_FALSE(environments_->Keep({{1, "A=1"}}));
  files_.Fail(What::kWrite, "environments", ENOSPC);
  const Status bad = environments_->Keep({{2, "A=1"}, {3, "B=2"}});
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->reason, "JOURNAL_FULL");
  files_.Judge(nullptr);
  ASSERT_FALSE(environments_->Keep({{4, "B=2"}}));
  EXPECT_TRUE(environments_->Trouble()) << "2 and 3 are not in the file";
  EXPECT_TRUE(environments_->Sync());
  EXPECT_FALSE(environments_->Recover());
  EXPECT_FALSE(environments_->Sync());
  OpenEnvironments();
  ASSERT_EQ(environments_->kept().size(), 4u);
  EXPECT_EQ(*environments_->kept().at(2), "A=1");
  EXPECT_EQ(*environments_->kept().at(4), "B=2");
}

TEST_F(EnvironmentTroubleTest, AfterAFailedSyncTheFileIsWrittenAnew) {
  OpenEnvironments();
  ASSERT_FALSE(environments_->Keep({{1, "A=1"}}));
  files_.Fail(What::kSync, "environments", EIO);
  EXPECT_TRUE(environments_->Sync());
  files_.Judge(nullptr);
  EXPECT_TRUE(environments_->Sync()) << "it would succeed, and prove nothing";
  EXPECT_FALSE(environments_->Recover());
  EXPECT_FALSE(environments_->Sync());
  const std::vector<Call> done = files_.done();
  EXPECT_TRUE(std::any_of(done.begin(), done.end(), [](const Call& call) {
    return call.what == What::kRename && call.path.ends_with("/environments");
  }));
}

TEST_F(EnvironmentTroubleTest, ASyncWithNothingNewAsksNoDisk) {
  OpenEnvironments();
  ASSERT_FALSE(environments_->Keep({{1, "A=1"}}));
  ASSERT_FALSE(environments_->Sync());
  const size_t syncs = files_.Count(What::kSync);
  ASSERT_FALSE(environments_->Sync());
  EXPECT_EQ(files_.Count(What::kSync), syncs);
}

}  // namespace
}  // namespace brood
