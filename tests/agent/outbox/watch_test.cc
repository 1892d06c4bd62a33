// SPDX-License-Identifier: Apache-2.0
//
// The watch file between its two ends: what is written is told, each write in exactly one change.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/outbox/value_bytes.h"
#include "agent/outbox/watch_reader.h"
#include "agent/outbox/watch_writer.h"
#include "common/base/clock.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

constexpr uint32_t kSlots = 4;

class WatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto writer = WatchWriter::Create(directory_.path(), kSlots);
    ASSERT_TRUE(writer.ok());
    writer_ = std::move(*writer);
    reader_ = std::make_unique<WatchReader>(directory_.path());
  }

  // One write of that job: the value is how often the cell was written.
  void Write(const std::string& cell, uint64_t job_key, WatchPlace* place) {
    const int64_t before = versions_[cell]++;
    WatchedWrite write;
    write.cell = cell;
    write.writer = job_key;
    write.version = static_cast<uint64_t>(versions_[cell]);
    write.before_kind = static_cast<uint16_t>(ValueKind::kInt);
    write.after_kind = write.before_kind;
    const ScalarBytes old_bytes(before);
    const ScalarBytes new_bytes(versions_[cell]);
    write.before = old_bytes.view();
    write.after = new_bytes.view();
    writer_->Add(write, place);
  }

  std::vector<WatchedChange> ReadThreads(int64_t now_ns = WatchReader::kAll) {
    std::vector<WatchedChange> changes;
    reader_->ReadThreads(now_ns,
                         [&](WatchedChange change) { changes.push_back(std::move(change)); });
    return changes;
  }
  std::vector<WatchedChange> ReadThread(uint64_t job_key) {
    std::vector<WatchedChange> changes;
    reader_->ReadThread(job_key,
                        [&](WatchedChange change) { changes.push_back(std::move(change)); });
    return changes;
  }

  static int64_t Number(const std::string& bytes) {
    int64_t number = -1;
    EXPECT_TRUE(ReadInt(bytes, &number));
    return number;
  }

  testing::TempDirectory directory_;
  std::unique_ptr<WatchWriter> writer_;
  std::unique_ptr<WatchReader> reader_;
  std::map<std::string, int64_t> versions_;
};

TEST_F(WatchTest, OnlyWhatWasSelectedIsWatched) {
  WatchPlace a;
  WatchPlace b;
  EXPECT_FALSE(writer_->Watches("a", &a));
  writer_->Select(7, false, {"a"});
  EXPECT_TRUE(writer_->Watches("a", &a));
  EXPECT_FALSE(writer_->Watches("b", &b));
  writer_->Select(8, true, {});
  EXPECT_TRUE(writer_->Watches("b", &b));
  writer_->SelectNothing();
  EXPECT_FALSE(writer_->Watches("a", &a));
  EXPECT_FALSE(writer_->Watches("b", &b));
}

TEST_F(WatchTest, WritesOfOneJobThatFollowEachOtherAreOneChange) {
  WatchPlace place;
  for (int i = 0; i < 1000; ++i) Write("n", 5, &place);
  const std::vector<WatchedChange> changes = ReadThreads();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].writes, 1000u);
  EXPECT_EQ(changes[0].writer, 5u);
  EXPECT_EQ(Number(changes[0].before), 0);
  EXPECT_EQ(Number(changes[0].after), 1000);
  EXPECT_TRUE(ReadThreads().empty());
  // More of the same within the window: told with what was told last as the value before.
  Write("n", 5, &place);
  const std::vector<WatchedChange> more = ReadThreads();
  ASSERT_EQ(more.size(), 1u);
  EXPECT_EQ(more[0].writes, 1u);
  EXPECT_EQ(Number(more[0].before), 1000);
  EXPECT_EQ(Number(more[0].after), 1001);
}

TEST_F(WatchTest, AnotherWriterIsAnotherChange) {
  WatchPlace place;
  Write("n", 5, &place);
  Write("n", 6, &place);
  Write("n", 5, &place);
  const std::vector<WatchedChange> changes = ReadThreads();
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[1].writer, 6u);
  EXPECT_EQ(Number(changes[1].before), 1);
  EXPECT_EQ(Number(changes[2].after), 3);
}

TEST_F(WatchTest, ARingThatIsOverrunLosesNoCount) {
  WatchPlace place;
  constexpr int kWrites = 10 * kThreadEntries;
  for (int i = 0; i < kWrites; ++i) Write("n", static_cast<uint64_t>(5 + i % 2), &place);
  uint64_t writes = 0;
  for (const WatchedChange& change : ReadThreads()) writes += change.writes;
  // The first ones were written before this reader was told of any.
  const uint64_t first = writes;
  EXPECT_LE(first, uint64_t{kWrites});
  for (int i = 0; i < kWrites; ++i) Write("n", static_cast<uint64_t>(5 + i % 2), &place);
  writes = 0;
  for (const WatchedChange& change : ReadThreads()) writes += change.writes;
  EXPECT_EQ(writes, uint64_t{kWrites});
}

TEST_F(WatchTest, AForkHasARingOfItsOwnThatOutlivesIt) {
  writer_->Select(1, true, {});
  WatchPlace place;
  Write("n", 5, &place);
  writer_->PrepareFork(2, 77);
  const pid_t child = ::fork();
  if (child == 0) {
    writer_->BecomeFork(2);
    for (int i = 0; i < 10; ++i) Write("n", 77, &place);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  std::vector<WatchedChange> changes;
  const auto take = [&](WatchedChange change) { changes.push_back(std::move(change)); };
  reader_->ReadFork(2, 78, WatchReader::kAll, take);
  EXPECT_TRUE(changes.empty()) << "the slot is another job's";
  reader_->ReadFork(2, 77, WatchReader::kAll, take);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].writes, 10u);
  EXPECT_EQ(changes[0].pid, child);
  EXPECT_EQ(Number(changes[0].before), 1);
  EXPECT_EQ(Number(changes[0].after), 11);
  EXPECT_EQ(ReadThreads().size(), 1u);
}

TEST_F(WatchTest, AnEntryThatIsBeingWrittenIsLeftForLater) {
  WatchPlace place;
  Write("n", 5, &place);
  const std::string path = directory_.path() + "/watch";
  const auto at = static_cast<std::streamoff>(ThreadRingOffset() + sizeof(WatchRing));
  const auto set = [&](uint64_t sequence) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.write(reinterpret_cast<const char*>(&sequence), sizeof(sequence));
  };
  set(1);
  EXPECT_TRUE(ReadThreads().empty());
  set(2);
  WatchPlace other;
  Write("m", 5, &other);
  const std::vector<WatchedChange> changes = ReadThreads();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].cell, "n") << "whole by now, and told, though nobody wrote to it again";
  EXPECT_EQ(changes[1].cell, "m");
  EXPECT_TRUE(ReadThreads().empty());
}

TEST_F(WatchTest, AWindowIsToldOnceItIsOverOrItsWriterIs) {
  WatchPlace n;
  WatchPlace m;
  const int64_t start = BootTimeNanos();
  Write("n", 5, &n);
  Write("m", 6, &m);
  EXPECT_TRUE(ReadThreads(start).empty());
  Write("n", 5, &n);
  EXPECT_TRUE(ReadThread(7).empty());
  const std::vector<WatchedChange> ended = ReadThread(5);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].writes, 2u);
  const std::vector<WatchedChange> over = ReadThreads(BootTimeNanos() + kWatchWindowNanos);
  ASSERT_EQ(over.size(), 1u);
  EXPECT_EQ(over[0].writer, 6u);
}

TEST_F(WatchTest, BeforeTheEndOfOneJobOthersEntriesAreNotReadAgain) {
  WatchPlace mine;
  WatchPlace other;
  Write("mine", 5, &mine);
  Write("other", 6, &other);
  EXPECT_EQ(ReadThreads().size(), 2u);
  Write("mine", 5, &mine);
  Write("other", 6, &other);
  const std::vector<WatchedChange> changes = ReadThread(5);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].cell, "mine");
  const std::vector<WatchedChange> rest = ReadThreads();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].cell, "other");
}

TEST_F(WatchTest, AnotherWritersEntryClosesAWindow) {
  WatchPlace place;
  const int64_t start = BootTimeNanos();
  Write("n", 5, &place);
  Write("n", 6, &place);
  const std::vector<WatchedChange> changes = ReadThreads(start);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].writer, 5u);
  // What is told of 6 counts its own writes only.
  const std::vector<WatchedChange> ended = ReadThread(6);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].writes, 1u);
}

TEST_F(WatchTest, WhatIsSkippedIsNotToldAndWhatIsAddedToItIs) {
  WatchPlace place;
  Write("n", 5, &place);
  reader_->SkipThreads();
  EXPECT_TRUE(ReadThreads().empty());
  Write("n", 5, &place);
  const std::vector<WatchedChange> changes = ReadThreads();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].writes, 1u);
  EXPECT_EQ(Number(changes[0].before), 1);
}

TEST_F(WatchTest, AFileThatIsNoneTellsNothing) {
  std::ofstream(directory_.path() + "/watch", std::ios::trunc) << "short";
  EXPECT_TRUE(ReadThreads().empty());
  WatchReader nowhere(directory_.path() + "/nowhere");
  nowhere.ReadThreads(WatchReader::kAll, [](const WatchedChange&) { FAIL(); });
}

}  // namespace
}  // namespace brood
