// SPDX-License-Identifier: Apache-2.0
#include "agent/outbox/slot_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/outbox/note.h"
#include "agent/outbox/value_bytes.h"
#include "common/base/checksum.h"
#include "common/base/unique_fd.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

constexpr uint32_t kSlots = 5;

const auto kNobody = [](uint64_t) { return false; };

class SlotFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<SlotFile>> file = SlotFile::Create(folder_.path(), kSlots);
    ASSERT_TRUE(file.ok()) << file.error().message;
    file_ = *std::move(file);
  }

  // As a forked call does.
  void WriteValue(uint32_t slot, const std::string& value) {
    CallArea* const area = file_->area(slot);
    std::memcpy(file_->value(slot), value.data(), value.size());
    area->value_size = static_cast<uint32_t>(value.size());
    area->value_crc = Crc32c(value.data(), value.size());
    area->result = kCallReturned;
  }

  testing::TempDirectory folder_;
  std::unique_ptr<SlotFile> file_;
};

TEST_F(SlotFileTest, HandsOutEachSlotOnceAndAgainWhenItIsFree) {
  std::vector<bool> taken(kSlots, false);
  for (uint32_t i = 0; i < kSlots; ++i) {
    const uint32_t slot = file_->Reserve(i + 1, 2, i % 2 == 0);
    ASSERT_LT(slot, kSlots);
    EXPECT_FALSE(taken[slot]);
    taken[slot] = true;
  }
  EXPECT_EQ(file_->Reserve(9, 1, true), kNoSlot);
  file_->Free(3);
  EXPECT_EQ(file_->Reserve(9, 1, true), 3u);
}

TEST_F(SlotFileTest, ShowsNothingOfTheJobBefore) {
  const uint32_t slot = file_->Reserve(1, 1, true);
  file_->start(slot)->pid = 77;
  file_->start(slot)->failed_step = 3;
  file_->area(slot)->progress_version = 6;
  WriteValue(slot, "old");
  file_->Free(slot);
  ASSERT_EQ(file_->Reserve(2, 4, true), slot);
  const SlotReader reader(folder_.path());
  StartSlot start;
  ASSERT_TRUE(reader.ReadStart(slot, &start));
  EXPECT_EQ(start.job_key, 2u);
  EXPECT_EQ(start.attempt, 4u);
  EXPECT_EQ(start.pid, 0);
  EXPECT_EQ(start.failed_step, 0u);
  CallArea area;
  ASSERT_TRUE(reader.ReadArea(slot, &area));
  EXPECT_EQ(area.job_key, 2u);
  EXPECT_EQ(area.progress_version, 0u);
  EXPECT_EQ(area.result, 0u);
}

TEST_F(SlotFileTest, IsReadByAnotherProcessWhileAndAfterAChildWrites) {
  const uint32_t slot = file_->Reserve(8, 1, true);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    file_->start(slot)->pid = static_cast<int32_t>(::getpid());
    WriteValue(slot, std::string(kValueBytesMax, 'v'));
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const SlotReader reader(folder_.path());
  EXPECT_EQ(reader.slots(), kSlots);
  StartSlot start;
  ASSERT_TRUE(reader.ReadStart(slot, &start));
  EXPECT_EQ(start.pid, child);
  CallArea area;
  ASSERT_TRUE(reader.ReadArea(slot, &area));
  EXPECT_EQ(area.result, kCallReturned);
  std::string value;
  ASSERT_TRUE(reader.ReadValue(slot, area, &value));
  EXPECT_EQ(value, std::string(kValueBytesMax, 'v'));
}

TEST_F(SlotFileTest, OfAJobThatIsKnownToHaveStartedIsNotRevoked) {
  const uint32_t noted = file_->Reserve(8, 1, true);
  const uint32_t unborn = file_->Reserve(9, 2, true);
  const std::vector<StartSlot> starts =
      RevokeStarts(folder_.path(), [](uint64_t job_key) { return job_key == 8; });
  ASSERT_EQ(starts.size(), kSlots);
  EXPECT_EQ(starts[noted].job_key, 8u);
  EXPECT_EQ(file_->start(noted)->claim, kUnclaimed) << "its child may begin";
  EXPECT_EQ(file_->start(unborn)->claim, kRevoked);
}

TEST_F(SlotFileTest, IsTheChildsOrTheAgentsAndNeverBoths) {
  const uint32_t begun = file_->Reserve(8, 1, false);
  const uint32_t unborn = file_->Reserve(9, 2, false);
  file_->start(begun)->pid = 77;
  file_->start(begun)->claim = kClaimedByChild;
  const std::vector<StartSlot> looked_at = SlotReader(folder_.path()).ReadStarts();
  ASSERT_EQ(looked_at.size(), kSlots);
  EXPECT_EQ(looked_at[begun].pid, 77);
  EXPECT_EQ(looked_at[unborn].claim, kUnclaimed) << "a look changes nothing";
  for (int again = 0; again < 2; ++again) {
    const std::vector<StartSlot> starts = RevokeStarts(folder_.path(), kNobody);
    ASSERT_EQ(starts.size(), kSlots);
    EXPECT_EQ(starts[begun].claim, kClaimedByChild);
    EXPECT_EQ(starts[begun].pid, 77);
    EXPECT_EQ(starts[unborn].job_key, 9u);
    EXPECT_EQ(starts[unborn].pid, 0);
  }
  EXPECT_EQ(file_->start(unborn)->claim, kRevoked);
  EXPECT_EQ(file_->start(begun)->claim, kClaimedByChild);
  ASSERT_EQ(::truncate((folder_.path() + "/slots").c_str(), 100), 0);
  EXPECT_TRUE(RevokeStarts(folder_.path(), kNobody).empty());
  EXPECT_TRUE(RevokeStarts("/no/such/folder", kNobody).empty());
}

TEST_F(SlotFileTest, BelievesNoValueThatDoesNotFitItsSizeOrChecksum) {
  const uint32_t slot = file_->Reserve(1, 1, true);
  WriteValue(slot, "value");
  const SlotReader reader(folder_.path());
  CallArea area;
  ASSERT_TRUE(reader.ReadArea(slot, &area));
  std::string value;
  file_->value(slot)[0] = 'V';
  EXPECT_FALSE(reader.ReadValue(slot, area, &value));
  area.value_size = kValueBytesMax + 1;
  EXPECT_FALSE(reader.ReadValue(slot, area, &value));
  EXPECT_FALSE(reader.ReadValue(kSlots, area, &value));
  StartSlot start;
  EXPECT_FALSE(reader.ReadStart(kSlots, &start));
  EXPECT_FALSE(reader.ReadArea(UINT32_MAX, &area));
}

TEST_F(SlotFileTest, SurvivesAFileThatWasCutShort) {
  const SlotReader reader(folder_.path());
  ASSERT_EQ(::truncate((folder_.path() + "/slots").c_str(), 100), 0);
  StartSlot start;
  EXPECT_FALSE(reader.ReadStart(0, &start));
  EXPECT_EQ(SlotReader(folder_.path()).slots(), 0u);
  EXPECT_EQ(SlotReader("/no/such/folder").slots(), 0u);
}

TEST_F(SlotFileTest, KeepsTheLastWordsOnlyWhenTheyAreWhole) {
  const SlotReader reader(folder_.path());
  LastWords words;
  EXPECT_FALSE(reader.ReadLastWords(&words));
  file_->last_words()->signal = 11;
  file_->last_words()->culprit_job_key = 4;
  EXPECT_FALSE(reader.ReadLastWords(&words));
  file_->last_words()->committed = 1;
  ASSERT_TRUE(reader.ReadLastWords(&words));
  EXPECT_EQ(words.signal, 11);
  EXPECT_EQ(words.culprit_job_key, 4u);
}

TEST_F(SlotFileTest, GivesNoSlotTwiceToManyThreads) {
  std::vector<std::atomic<int>> holders(kSlots);
  std::vector<std::thread> threads;
  std::atomic<int> collisions{0};
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const uint32_t slot = file_->Reserve(1, 1, false);
        if (slot == kNoSlot) continue;
        if (holders[slot].fetch_add(1) != 0) ++collisions;
        holders[slot].fetch_sub(1);
        file_->Free(slot);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(collisions, 0);
}

TEST_F(SlotFileTest, RefusesAFolderThatHasOne) {
  EXPECT_FALSE(SlotFile::Create(folder_.path(), kSlots).ok());
}

TEST(ChildStepTest, HasANameForEach) {
  EXPECT_STREQ(ChildStepName(ChildStep::kExec), "exec");
  EXPECT_STREQ(ChildStepName(ChildStep::kChdir), "chdir");
  EXPECT_STREQ(ChildStepName(ChildStep::kLimit), "setrlimit");
  EXPECT_STREQ(ChildStepName(static_cast<ChildStep>(99)), "unknown");
}

TEST(ValueBytesTest, ReadsBackWhatItWroteAndNothingOfAnotherSize) {
  int64_t whole = 0;
  EXPECT_TRUE(ReadInt(ScalarBytes(int64_t{-5}).view(), &whole));
  EXPECT_EQ(whole, -5);
  double number = 0;
  EXPECT_TRUE(ReadFloat(ScalarBytes(2.5).view(), &number));
  EXPECT_EQ(number, 2.5);
  bool truth = false;
  EXPECT_TRUE(ReadBool(ScalarBytes(true).view(), &truth));
  EXPECT_TRUE(truth);
  EXPECT_FALSE(ReadInt("short", &whole));
  EXPECT_FALSE(ReadFloat("", &number));
  EXPECT_FALSE(ReadBool("ab", &truth));
}

}  // namespace
}  // namespace brood
