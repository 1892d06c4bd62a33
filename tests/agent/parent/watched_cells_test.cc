// SPDX-License-Identifier: Apache-2.0
//
// Writes that somebody watches, from the store to the agent's reader: whatever is coalesced or
// lost, the counts are exact.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/outbox/watch_reader.h"
#include "agent/outbox/watch_writer.h"
#include "agent/parent/cell_store.h"
#include "agent/parent/gate.h"
#include "agent/parent/shared_cells.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

constexpr uint64_t kFork = 77;  // job key
constexpr uint32_t kSlot = 1;

class WatchedCellsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<SharedCells>> shared = SharedCells::Create();
    Result<std::unique_ptr<WatchWriter>> watch = WatchWriter::Create(directory_.path(), 4);
    ASSERT_TRUE(shared.ok() && watch.ok());
    shared_ = *std::move(shared);
    watch_ = *std::move(watch);
    cells_ = std::make_unique<CellStore>(&gate_, shared_.get(), watch_.get());
    reader_ = std::make_unique<WatchReader>(directory_.path());
  }

  void Take(const WatchedChange& change) {
    writes_[change.cell] += change.writes;
    changes_.push_back(change);
  }
  void ReadThreads() {
    reader_->ReadThreads(WatchReader::kAll, [this](const WatchedChange& change) { Take(change); });
  }
  void ReadFork() {
    reader_->ReadFork(kSlot, kFork, WatchReader::kAll,
                      [this](const WatchedChange& change) { Take(change); });
  }

  template <typename Child>
  void InFork(Child child) {
    ASSERT_TRUE(gate_.Close(60'000'000'000));
    watch_->PrepareFork(kSlot, kFork);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::alarm(30);
      gate_.OpenInChild();
      watch_->BecomeFork(kSlot);
      child();
      ::_exit(0);
    }
    gate_.Open();
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_EQ(status, 0);
  }

  testing::TempDirectory directory_;
  Gate gate_;
  std::unique_ptr<SharedCells> shared_;
  std::unique_ptr<WatchWriter> watch_;
  std::unique_ptr<CellStore> cells_;
  std::unique_ptr<WatchReader> reader_;
  std::map<std::string, uint64_t> writes_;
  std::vector<WatchedChange> changes_;
  CellUser user_{nullptr, 7};
};

TEST_F(WatchedCellsTest, TellsOnlyOfWhatIsWatched) {
  ASSERT_EQ(cells_->Add(user_, "x", 1, nullptr), BROOD_OK);
  watch_->Select(1, false, {"x"});
  ASSERT_EQ(cells_->Add(user_, "x", 2, nullptr), BROOD_OK);
  ASSERT_EQ(cells_->Add(user_, "y", 1, nullptr), BROOD_OK);
  watch_->Select(2, false, {"y"});
  ASSERT_EQ(cells_->Add(user_, "x", 4, nullptr), BROOD_OK);
  ASSERT_EQ(cells_->Add(user_, "y", 1, nullptr), BROOD_OK);
  ReadThreads();
  ASSERT_EQ(changes_.size(), 2u);
  EXPECT_EQ(changes_[0].cell, "x");
  EXPECT_EQ(changes_[0].version, 2u);
  EXPECT_EQ(changes_[0].writer, 7u);
  EXPECT_EQ(changes_[0].pid, ::getpid());
  EXPECT_EQ(changes_[1].cell, "y");
  EXPECT_EQ(changes_[1].version, 2u);
}

TEST_F(WatchedCellsTest, CountsEveryWriteOfFourThreads) {
  constexpr int kThreads = 4;
  constexpr int kWrites = 100'000;
  watch_->Select(1, false, {"sum"});
  // Known from its first write on: what is overwritten before anybody reads it is counted too.
  cells_->Add(CellUser{nullptr, kThreads + 1}, "sum", 1, nullptr);
  ReadThreads();
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, i, &running] {
      CellMark mark(&gate_);
      const CellUser user{&mark, static_cast<uint64_t>(i + 1)};
      for (int n = 0; n < kWrites; ++n) cells_->Add(user, "sum", 1, nullptr);
      --running;
    });
  }
  while (running > 0) ReadThreads();
  for (std::thread& thread : threads) thread.join();
  ReadThreads();
  EXPECT_EQ(writes_["sum"], uint64_t{kThreads} * kWrites + 1);
  EXPECT_EQ(changes_.back().version, uint64_t{kThreads} * kWrites + 1);
}

TEST_F(WatchedCellsTest, AnOverrunRingLosesEntriesButNoCounts) {
  watch_->Select(1, true, {});
  // Takes turns, so that nothing is amended: each write has an entry of its own.
  constexpr int kTurns = 5 * static_cast<int>(kThreadEntries);
  for (int i = 0; i < kTurns; ++i) {
    const CellUser user{nullptr, static_cast<uint64_t>(1 + i % 2)};
    ASSERT_EQ(cells_->Add(user, "turns", 1, nullptr), BROOD_OK);
  }
  ReadThreads();
  EXPECT_LE(changes_.size(), size_t{kThreadEntries});
  EXPECT_EQ(changes_.back().version, static_cast<uint64_t>(kTurns));
  // What was overwritten before anybody read it is not told, but known: the first that is there
  // says how many came before.
  EXPECT_EQ(changes_.front().version + writes_["turns"] - 1, static_cast<uint64_t>(kTurns));
  // Once a cell is known, what is lost of it is counted in the next that is read.
  const uint64_t before = writes_["turns"];
  for (int i = 0; i < kTurns; ++i) {
    const CellUser user{nullptr, static_cast<uint64_t>(1 + i % 2)};
    ASSERT_EQ(cells_->Add(user, "turns", 1, nullptr), BROOD_OK);
  }
  ReadThreads();
  EXPECT_EQ(writes_["turns"] - before, static_cast<uint64_t>(kTurns));
}

TEST_F(WatchedCellsTest, AReaderThatComesLaterMissesNoWrite) {
  watch_->Select(1, true, {});
  ASSERT_EQ(cells_->Add(user_, "x", 1, nullptr), BROOD_OK);
  reader_ = std::make_unique<WatchReader>(directory_.path());
  reader_->SkipThreads();
  watch_->Select(2, true, {});
  // Soon after, by the same job: still not added to what stands there.
  ASSERT_EQ(cells_->Add(user_, "x", 1, nullptr), BROOD_OK);
  ReadThreads();
  EXPECT_EQ(writes_["x"], 1u);
}

TEST_F(WatchedCellsTest, AForkTellsOfItsOwnCopyAlsoAfterItsEnd) {
  ASSERT_EQ(cells_->Add(user_, "x", 40, nullptr), BROOD_OK);
  ASSERT_EQ(cells_->Share(user_, "s"), BROOD_OK);
  watch_->Select(1, true, {});
  ASSERT_EQ(cells_->Add(user_, "x", 1, nullptr), BROOD_OK);
  InFork([this] {
    const CellUser user{nullptr, kFork};
    for (int i = 0; i < 1000; ++i) cells_->Add(user, "x", 1, nullptr);
    cells_->Add(user, "s", 5, nullptr);
  });
  ReadFork();
  EXPECT_EQ(writes_["x"], 1000u);
  EXPECT_EQ(writes_["s"], 1u);
  EXPECT_TRUE(changes_.back().shared);
  for (const WatchedChange& change : changes_) {
    EXPECT_NE(change.pid, ::getpid());
    EXPECT_EQ(change.writer, kFork);
  }
  EXPECT_EQ(changes_[0].before_kind, static_cast<uint16_t>(BROOD_INT));
  EXPECT_EQ(changes_[0].version, 1002u);
  writes_.clear();
  ReadThreads();
  EXPECT_EQ(writes_["x"], 1u) << "the parent's own";
  EXPECT_EQ(writes_.count("s"), 0u);
}

TEST_F(WatchedCellsTest, ANewForkInTheSlotIsNotTheOldOne) {
  watch_->Select(1, true, {});
  InFork([this] { cells_->Add(CellUser{nullptr, kFork}, "x", 1, nullptr); });
  ReadFork();
  EXPECT_EQ(writes_["x"], 1u);
  ASSERT_TRUE(gate_.Close(60'000'000'000));
  watch_->PrepareFork(kSlot, kFork + 1);
  const pid_t pid = ::fork();
  if (pid == 0) {
    gate_.OpenInChild();
    watch_->BecomeFork(kSlot);
    cells_->Add(CellUser{nullptr, kFork + 1}, "x", 1, nullptr);
    ::_exit(0);
  }
  gate_.Open();
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ReadFork();
  EXPECT_EQ(writes_["x"], 1u) << "the ring is another's now";
  reader_->ReadFork(kSlot, kFork + 1, WatchReader::kAll,
                    [this](const WatchedChange& change) { Take(change); });
  EXPECT_EQ(writes_["x"], 2u);
}

}  // namespace
}  // namespace brood
