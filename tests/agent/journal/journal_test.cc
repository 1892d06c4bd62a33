// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "agent/journal/epochs.h"
#include "agent/journal/file_journal.h"
#include "agent/journal/journal_format.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

struct Kept {
  uint64_t cursor;
  uint64_t job_key;
  std::string payload;
  bool operator==(const Kept&) const = default;
};

std::string PayloadOf(uint64_t cursor) {
  return "event " + std::to_string(cursor) + std::string(cursor % 50, 'x');
}

std::vector<JournalRecord> Batch(uint64_t first, uint64_t count) {
  std::vector<JournalRecord> records;
  for (uint64_t cursor = first; cursor < first + count; ++cursor) {
    records.push_back({cursor, cursor % 7, PayloadOf(cursor)});
  }
  return records;
}

std::string Bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void WriteBytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* base = std::getenv("TMPDIR");
    std::string name = std::string(base != nullptr ? base : "/tmp") + "/brood-journal-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    directory_ = name + "/journal";
  }
  void TearDown() override { fs::remove_all(root_); }

  std::unique_ptr<Journal> Open(Journal::Options options = {}, const std::string& boot = "boot-1") {
    Result<std::unique_ptr<Journal>> journal = FileJournal::Open(directory_, options, boot);
    EXPECT_TRUE(journal.ok()) << (journal.ok() ? "" : journal.error().message);
    return journal.ok() ? *std::move(journal) : nullptr;
  }
  Error OpenError() {
    Result<std::unique_ptr<Journal>> journal = FileJournal::Open(directory_, {}, "boot-1");
    EXPECT_FALSE(journal.ok());
    return journal.ok() ? Error() : journal.error();
  }
  std::vector<fs::path> Segments() const {
    std::set<fs::path> sorted;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      if (entry.path().extension() == ".log") sorted.insert(entry.path());
    }
    return {sorted.begin(), sorted.end()};
  }
  static std::vector<Kept> ReadAll(const Journal& journal, uint64_t after = 0) {
    std::vector<Kept> kept;
    const Status bad =
        journal.Read(after, [&](uint64_t cursor, uint64_t key, std::string_view bytes) {
          kept.push_back({cursor, key, std::string(bytes)});
          return true;
        });
    EXPECT_FALSE(bad) << bad->message;
    return kept;
  }
  static void ExpectWhole(const std::vector<Kept>& kept, uint64_t first, uint64_t last) {
    ASSERT_EQ(kept.size(), last + 1 - first);
    for (uint64_t i = 0; i < kept.size(); ++i) {
      const uint64_t cursor = first + i;
      ASSERT_EQ(kept[i], (Kept{cursor, cursor % 7, PayloadOf(cursor)}));
    }
  }

  std::string root_;
  std::string directory_;
};

// Small enough that a few hundred events make several segments and outgrow the memory tail.
constexpr Journal::Options kSmall{
    .segment_bytes = 4096, .retained_bytes = 1 << 20, .tail_bytes = 8192};

TEST_F(JournalTest, ANewJournalIsEmpty) {
  const auto journal = Open();
  EXPECT_EQ(journal->head(), 0U);
  EXPECT_EQ(journal->oldest(), 1U);
  EXPECT_EQ(journal->epoch(), 1U);
  EXPECT_EQ(journal->id().size(), 16U);
  EXPECT_TRUE(ReadAll(*journal).empty());
}

TEST_F(JournalTest, GivesBackWhatWasAppendedInOrder) {
  const auto journal = Open();
  ASSERT_FALSE(journal->Append(Batch(1, 10)));
  ASSERT_FALSE(journal->Append(Batch(11, 1)));
  ASSERT_FALSE(journal->Append({}));
  EXPECT_EQ(journal->head(), 11U);
  ExpectWhole(ReadAll(*journal), 1, 11);
  ExpectWhole(ReadAll(*journal, 4), 5, 11);
  EXPECT_TRUE(ReadAll(*journal, 11).empty());
}

TEST_F(JournalTest, AReaderMayStopAtAnyEvent) {
  const auto journal = Open();
  ASSERT_FALSE(journal->Append(Batch(1, 10)));
  int seen = 0;
  EXPECT_FALSE(journal->Read(0, [&](uint64_t, uint64_t, std::string_view) { return ++seen < 3; }));
  EXPECT_EQ(seen, 3);
}

TEST_F(JournalTest, ReadingPastTheHeadIsOutOfRange) {
  const auto journal = Open();
  ASSERT_FALSE(journal->Append(Batch(1, 3)));
  const Status bad = journal->Read(4, [](uint64_t, uint64_t, std::string_view) { return true; });
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->code, ErrorCode::kOutOfRange);
}

TEST_F(JournalTest, RefusesCursorsWithAGap) {
  const auto journal = Open();
  ASSERT_FALSE(journal->Append(Batch(1, 3)));
  for (const uint64_t cursor : {1, 3, 5}) {
    const Status bad = journal->Append(Batch(cursor, 1));
    ASSERT_TRUE(bad);
    EXPECT_EQ(bad->code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(journal->head(), 3U);
}

TEST_F(JournalTest, GoesOnWhereItStoppedAfterAReopening) {
  std::string id;
  {
    const auto journal = Open(kSmall);
    id = journal->id();
    for (uint64_t cursor = 1; cursor <= 400; cursor += 4) {
      ASSERT_FALSE(journal->Append(Batch(cursor, 4)));
    }
  }
  EXPECT_GT(Segments().size(), 3U);
  const auto journal = Open(kSmall);
  EXPECT_EQ(journal->id(), id);
  EXPECT_EQ(journal->epoch(), 1U);
  EXPECT_EQ(journal->head(), 400U);
  ExpectWhole(ReadAll(*journal), 1, 400);
  ASSERT_FALSE(journal->Append(Batch(401, 4)));
  ExpectWhole(ReadAll(*journal), 1, 404);
  ExpectWhole(ReadAll(*journal, 399), 400, 404);
}

TEST_F(JournalTest, EveryCursorCanBeReadFromDiskAndFromMemory) {
  const auto journal = Open(kSmall);
  for (uint64_t cursor = 1; cursor <= 500; ++cursor) {
    ASSERT_FALSE(journal->Append(Batch(cursor, 1)));
  }
  for (uint64_t after = 0; after < 500; ++after) {
    std::vector<Kept> first;
    EXPECT_FALSE(journal->Read(after, [&](uint64_t cursor, uint64_t key, std::string_view bytes) {
      first.push_back({cursor, key, std::string(bytes)});
      return false;
    }));
    ExpectWhole(first, after + 1, after + 1);
  }
}

TEST_F(JournalTest, TakesLargePayloadsAndRefusesTooLargeOnes) {
  const auto journal = Open({.segment_bytes = 4096});
  const std::string large(kJournalPayloadBytesMax, 'L');
  ASSERT_FALSE(journal->Append({{1, 9, large}, {2, 9, ""}}));
  ASSERT_FALSE(journal->Append({{3, 9, "x"}}));
  const auto kept = ReadAll(*journal);
  ASSERT_EQ(kept.size(), 3U);
  EXPECT_EQ(kept[0].payload, large);
  EXPECT_EQ(kept[1].payload, "");
  EXPECT_TRUE(journal->Append({{4, 9, large + "L"}}));
  EXPECT_EQ(journal->head(), 3U);
}

TEST_F(JournalTest, AnotherBootBeginsAnotherEpoch) {
  { const auto journal = Open(); }
  EXPECT_EQ(Open({}, "boot-1")->epoch(), 1U);
  EXPECT_EQ(Open({}, "boot-2")->epoch(), 2U);
  EXPECT_EQ(Open({}, "boot-2")->epoch(), 2U);
}

TEST_F(JournalTest, ACursorThatAnotherEventHasNowIsKnownByItsEpoch) {
  {
    const auto journal = Open({}, "boot-1");
    ASSERT_FALSE(journal->Append(Batch(1, 5)));
  }
  const fs::path segment = Segments()[0];
  const std::string five = Bytes(segment);
  {
    const auto journal = Open({}, "boot-1");
    ASSERT_FALSE(journal->Append(Batch(6, 3)));
    EXPECT_EQ(journal->KeptOf(1), 8U);
  }
  // The power takes the last three, which readers had.
  WriteBytes(segment, five);
  {
    const auto journal = Open({}, "boot-2");
    ASSERT_FALSE(journal->Append(Batch(6, 4)));
    EXPECT_EQ(journal->KeptOf(1), 5U);
    EXPECT_EQ(journal->KeptOf(2), 9U);
    EXPECT_EQ(journal->KeptOf(3), 0U) << "it is not of this journal's past";
  }
  const auto journal = Open({}, "boot-3");
  EXPECT_EQ(journal->KeptOf(1), 5U);
  EXPECT_EQ(journal->KeptOf(2), 9U);
}

TEST_F(JournalTest, AnEpochLongAgoIsForgottenAndNotGuessed) {
  for (size_t boot = 0; boot <= Epochs::kBeginsMax; ++boot) {
    const auto journal = Open({}, "boot-" + std::to_string(boot));
    ASSERT_FALSE(journal->Append(Batch(boot + 1, 1)));
  }
  const auto journal = Open({}, "boot-last");
  EXPECT_EQ(journal->KeptOf(1), 0U);
  EXPECT_EQ(journal->KeptOf(2), 2U);
}

TEST_F(JournalTest, CutsATornTailAtEveryByteOfTheLastRecordAndBeginsAnEpoch) {
  size_t before = 0;
  {
    const auto journal = Open();
    ASSERT_FALSE(journal->Append(Batch(1, 5)));
    before = Bytes(Segments()[0]).size();
    ASSERT_FALSE(journal->Append(Batch(6, 1)));
  }
  const fs::path segment = Segments()[0];
  const std::string whole = Bytes(segment);
  uint64_t epoch = 1;
  for (size_t size = before; size < whole.size(); ++size) {
    WriteBytes(segment, whole.substr(0, size));
    const auto journal = Open();
    ASSERT_NE(journal, nullptr);
    if (size > before) ++epoch;
    ASSERT_EQ(journal->epoch(), epoch) << size;
    ASSERT_EQ(journal->head(), 5U) << size;
    ExpectWhole(ReadAll(*journal), 1, 5);
    ASSERT_EQ(Bytes(segment).size(), before);
    ASSERT_FALSE(journal->Append(Batch(6, 2)));
    ExpectWhole(ReadAll(*journal), 1, 7);
  }
}

TEST_F(JournalTest, CutsZerosBehindTheLastRecord) {
  {
    const auto journal = Open();
    ASSERT_FALSE(journal->Append(Batch(1, 5)));
  }
  const fs::path segment = Segments()[0];
  WriteBytes(segment, Bytes(segment) + std::string(5000, '\0'));
  const auto journal = Open();
  EXPECT_EQ(journal->head(), 5U);
  EXPECT_EQ(journal->epoch(), 2U);
}

TEST_F(JournalTest, RefusesAFlippedBitAnywhereBeforeTheLastRecord) {
  size_t last = 0;
  {
    const auto journal = Open();
    ASSERT_FALSE(journal->Append(Batch(1, 3)));
    last = Bytes(Segments()[0]).size();
    ASSERT_FALSE(journal->Append(Batch(4, 1)));
  }
  const fs::path segment = Segments()[0];
  const std::string whole = Bytes(segment);
  for (size_t i = 0; i < last; ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    WriteBytes(segment, damaged);
    const Error error = OpenError();
    ASSERT_EQ(error.code, ErrorCode::kDataLoss) << i << " " << error.message;
    ASSERT_NE(error.message.find(segment.string()), std::string::npos) << error.message;
    if (i >= sizeof(SegmentHeader)) {
      ASSERT_NE(error.message.find("offset"), std::string::npos) << error.message;
    }
  }
  WriteBytes(segment, whole);
  EXPECT_EQ(Open()->head(), 4U);
}

TEST_F(JournalTest, RefusesATornTailOfASegmentThatIsNotTheLast) {
  {
    const auto journal = Open(kSmall);
    for (uint64_t cursor = 1; cursor <= 300; ++cursor) {
      ASSERT_FALSE(journal->Append(Batch(cursor, 1)));
    }
  }
  const fs::path first = Segments()[0];
  const std::string whole = Bytes(first);
  WriteBytes(first, whole.substr(0, whole.size() - 1));
  EXPECT_EQ(OpenError().code, ErrorCode::kDataLoss);
  WriteBytes(first, whole);
  fs::remove(Segments()[1]);
  EXPECT_EQ(OpenError().code, ErrorCode::kDataLoss) << "a missing segment";
}

TEST_F(JournalTest, RefusesSegmentsOfAnotherJournalAndALostEpochFile) {
  {
    const auto journal = Open();
    ASSERT_FALSE(journal->Append(Batch(1, 1)));
  }
  const fs::path epoch = fs::path(directory_) / "epoch";
  const std::string text = Bytes(epoch);
  WriteBytes(epoch, "brood-journal 1\nid 0123456789abcdef\nepoch 1\nboot boot-1\n");
  EXPECT_EQ(OpenError().code, ErrorCode::kDataLoss);
  WriteBytes(epoch, "garbage");
  EXPECT_EQ(OpenError().code, ErrorCode::kDataLoss);
  fs::remove(epoch);
  EXPECT_EQ(OpenError().code, ErrorCode::kDataLoss);
  WriteBytes(epoch, text);
  EXPECT_EQ(Open()->head(), 1U);
}

TEST_F(JournalTest, ForgetsASegmentThatWasOnlyBegun) {
  { const auto journal = Open(); }
  const fs::path fresh = fs::path(directory_) / "00000000000000000001.log.new";
  WriteBytes(fresh, "half a header");
  EXPECT_EQ(Open()->head(), 0U);
  EXPECT_FALSE(fs::exists(fresh));
}

TEST_F(JournalTest, ASecondOpenerIsRefusedUntilTheFirstCloses) {
  auto first = Open();
  const Error error = OpenError();
  EXPECT_EQ(error.code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(error.message.find("in use by another process"), std::string::npos);
  first.reset();
  EXPECT_NE(Open(), nullptr);
}

TEST_F(JournalTest, RetentionDeletesTheOldestWholeSegments) {
  Journal::Options options = kSmall;
  options.retained_bytes = 16 << 10;
  const auto journal = Open(options);
  for (uint64_t cursor = 1; cursor <= 2000; ++cursor) {
    ASSERT_FALSE(journal->Append(Batch(cursor, 1)));
    if (cursor % 50 == 0) {
      ASSERT_FALSE(journal->WriteSnapshot(cursor, {"state"}));
    }
  }
  EXPECT_GT(journal->oldest(), 1500U);
  uintmax_t total = 0;
  for (const fs::path& segment : Segments()) total += fs::file_size(segment);
  EXPECT_LE(total, options.retained_bytes + options.segment_bytes);
  EXPECT_EQ(FirstCursorOfName(Segments()[0].filename().string()), journal->oldest());
  ExpectWhole(ReadAll(*journal), journal->oldest(), 2000);
}

TEST_F(JournalTest, AfterRetentionAReopenedJournalKnowsItsOldest) {
  Journal::Options options = kSmall;
  options.retained_bytes = 16 << 10;
  uint64_t oldest = 0;
  {
    const auto journal = Open(options);
    for (uint64_t cursor = 1; cursor <= 1000; ++cursor) {
      ASSERT_FALSE(journal->Append(Batch(cursor, 1)));
      if (cursor % 50 == 0) {
        ASSERT_FALSE(journal->WriteSnapshot(cursor, {"state"}));
      }
    }
    oldest = journal->oldest();
    EXPECT_GT(oldest, 500U);
  }
  const auto journal = Open(options);
  EXPECT_EQ(journal->oldest(), oldest);
  ExpectWhole(ReadAll(*journal), oldest, 1000);
}

TEST_F(JournalTest, AFullDiskAppendsNothingAndIsOverWhenThereIsRoomAgain) {
  Journal::Options options = kSmall;
  options.segment_bytes = 64 << 10;
  const auto journal = Open(options);
  ASSERT_FALSE(journal->Append(Batch(1, 3)));
  const uintmax_t size = fs::file_size(Segments()[0]);
  // A file-size limit cuts a write short, as a full disk does.
  auto* const old_action = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit tight = old;
  tight.rlim_cur = size + 10;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const Status bad = journal->Append(Batch(4, 2));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, old_action);
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(journal->head(), 3U);
  EXPECT_EQ(fs::file_size(Segments()[0]), size) << "nothing was left behind";
  ASSERT_FALSE(journal->Append(Batch(4, 2)));
  ExpectWhole(ReadAll(*journal), 1, 5);
}

TEST_F(JournalTest, ReadersFollowAnAppenderWithoutMissingOrDoublingAnEvent) {
  constexpr uint64_t kLast = 20'000;
  Journal::Options options{
      .segment_bytes = 32 << 10, .retained_bytes = 1 << 30, .tail_bytes = 16 << 10};
  const auto journal = Open(options);
  std::atomic<int> wrong{0};
  const auto follow = [&](uint64_t stop_after) {
    uint64_t at = 0;
    while (at < kLast) {
      uint64_t taken = 0;
      const Status bad =
          journal->Read(at, [&](uint64_t cursor, uint64_t key, std::string_view payload) {
            if (cursor != ++at || key != cursor % 7 || payload != PayloadOf(cursor)) ++wrong;
            return ++taken < stop_after;
          });
      if (bad) ++wrong;
      if (wrong > 0) return;
      std::this_thread::yield();
    }
  };
  std::vector<std::thread> readers;
  for (const uint64_t stop_after : {1000, 64, 7}) readers.emplace_back(follow, stop_after);
  for (uint64_t cursor = 1; cursor <= kLast; cursor += 10) {
    ASSERT_FALSE(journal->Append(Batch(cursor, 10)));
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(JournalTest, AReaderThatRetentionOvertakesGoesOnAtTheOldest) {
  constexpr uint64_t kLast = 20'000;
  Journal::Options options{
      .segment_bytes = 8 << 10, .retained_bytes = 32 << 10, .tail_bytes = 4096};
  const auto journal = Open(options);
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::thread reader([&] {
    while (!done) {
      uint64_t at = 0;
      const Status bad = journal->Read(0, [&](uint64_t cursor, uint64_t, std::string_view payload) {
        if (cursor <= at || payload != PayloadOf(cursor)) ++wrong;
        at = cursor;
        return true;
      });
      if (bad) ++wrong;
    }
  });
  for (uint64_t cursor = 1; cursor <= kLast; cursor += 10) {
    EXPECT_FALSE(journal->Append(Batch(cursor, 10)));
    if (cursor % 400 == 1) {
      EXPECT_FALSE(journal->WriteSnapshot(cursor, {"state"}));
    }
  }
  EXPECT_GT(journal->oldest(), 10'000U);
  done = true;
  reader.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace brood
