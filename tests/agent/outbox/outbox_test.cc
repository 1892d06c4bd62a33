// SPDX-License-Identifier: Apache-2.0
//
// Writer and reader of an outbox together, and what the reader makes of files
// that no honest writer leaves.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/outbox/note.h"
#include "agent/outbox/outbox_reader.h"
#include "agent/outbox/outbox_writer.h"
#include "common/base/unique_fd.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

using Seen = std::pair<Note, std::string>;

Note NoteOf(uint64_t job_key) {
  Note note;
  note.kind = NoteKind::kStarted;
  note.job_key = job_key;
  note.pid = static_cast<int32_t>(job_key) + 1000;
  return note;
}

class OutboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<OutboxWriter>> writer = OutboxWriter::Create(folder_.path());
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    writer_ = *std::move(writer);
    reader_ = std::make_unique<OutboxReader>(folder_.path());
  }

  // What is new.
  std::vector<Seen> Read() {
    std::vector<Seen> seen;
    const size_t count = reader_->Read(
        [&seen](const Note& note, std::string_view text) { seen.emplace_back(note, text); });
    EXPECT_EQ(count, seen.size());
    return seen;
  }

  // Writes over bytes of a segment, as a broken or hostile writer could.
  void Damage(uint32_t segment, size_t offset, const std::string& bytes) {
    const UniqueFd fd(::open(OutboxSegmentPath(folder_.path(), segment).c_str(), O_WRONLY));
    ASSERT_TRUE(fd);
    ASSERT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(bytes.size()));
  }

  bool Exists(uint32_t segment) const {
    return ::access(OutboxSegmentPath(folder_.path(), segment).c_str(), F_OK) == 0;
  }

  testing::TempDirectory folder_;
  std::unique_ptr<OutboxWriter> writer_;
  std::unique_ptr<OutboxReader> reader_;
};

// The offset of a field in the n-th one-slot note.
size_t At(size_t slot, size_t field) { return slot * kNoteSlotBytes + field; }

TEST_F(OutboxTest, HandsOnWhatWasNotedOnceAndInOrder) {
  EXPECT_TRUE(Read().empty());
  EXPECT_TRUE(writer_->Append(NoteOf(1), "one"));
  EXPECT_TRUE(writer_->Append(NoteOf(2)));
  const std::vector<Seen> seen = Read();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].first.job_key, 1u);
  EXPECT_EQ(seen[0].first.pid, 1001);
  EXPECT_EQ(seen[0].second, "one");
  EXPECT_EQ(seen[1].second, "");
  EXPECT_TRUE(Read().empty());
  EXPECT_EQ(reader_->damaged(), 0u);
}

TEST_F(OutboxTest, KeepsTextsOfEveryLength) {
  // Around the ends of slots, and the longest.
  std::vector<size_t> sizes = {kNoteTextBytesMax};
  for (size_t size = 60; size < 100; ++size) sizes.push_back(size);
  for (size_t size = 330; size < 350; ++size) sizes.push_back(size);
  for (const size_t size : sizes) {
    EXPECT_TRUE(writer_->Append(NoteOf(size), std::string(size, 't')));
  }
  EXPECT_FALSE(writer_->Append(NoteOf(1), std::string(kNoteTextBytesMax + 1, 't')));
  const std::vector<Seen> seen = Read();
  ASSERT_EQ(seen.size(), sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(seen[i].second, std::string(sizes[i], 't'));
}

TEST_F(OutboxTest, RingsForAnAppendAndNotForAQuietOne) {
  pollfd bell{writer_->bell(), POLLIN, 0};
  EXPECT_TRUE(writer_->AppendQuietly(NoteOf(1)));
  EXPECT_EQ(::poll(&bell, 1, 0), 0);
  writer_->Ring();
  EXPECT_TRUE(writer_->Append(NoteOf(2)));
  EXPECT_EQ(::poll(&bell, 1, 0), 1);
  uint64_t rings = 0;
  ASSERT_EQ(::read(writer_->bell(), &rings, sizeof(rings)), static_cast<ssize_t>(sizeof(rings)));
  EXPECT_EQ(rings, 2u);
}

TEST_F(OutboxTest, GoesOnInTheNextSegmentAndGivesReadOnesBack) {
  // Three segments full, and as many reads as a slow reader needs.
  const size_t notes = 3 * kOutboxSegmentBytes / kNoteSlotBytes;
  uint64_t read = 0;
  for (uint64_t key = 0; key < notes; ++key) {
    ASSERT_TRUE(writer_->AppendQuietly(NoteOf(key)));
    if (key % 1000 != 999) continue;
    for (const Seen& seen : Read()) EXPECT_EQ(seen.first.job_key, read++);
    EXPECT_EQ(read, key + 1) << "the last of them too, over the end of a segment";
  }
  EXPECT_TRUE(Exists(1));
  reader_->ReleaseRead();
  EXPECT_FALSE(Exists(1));
  EXPECT_FALSE(Exists(2));
  EXPECT_TRUE(Exists(3));
  for (const Seen& seen : Read()) EXPECT_EQ(seen.first.job_key, read++);
  EXPECT_EQ(read, notes);
}

TEST_F(OutboxTest, ReadsTheFirstNoteOfASegmentWithTheLastOfTheOneBefore) {
  // Whatever the last note's place, nothing may be left behind.
  uint64_t key = 0;
  uint64_t read = 0;
  const std::string longest(kNoteTextBytesMax, 'x');
  for (int round = 0; round < 60; ++round) {
    ASSERT_TRUE(writer_->Append(NoteOf(key++), longest));
    ASSERT_TRUE(writer_->Append(NoteOf(key++)));
    for (const Seen& seen : Read()) EXPECT_EQ(seen.first.job_key, read++);
    ASSERT_EQ(read, key);
  }
}

TEST_F(OutboxTest, LetsANewReaderBeginWithTheFirstThatWasNotReleased) {
  EXPECT_TRUE(writer_->Append(NoteOf(1)));
  EXPECT_EQ(Read().size(), 1u);
  // An agent that comes anew reads all again: it merges by job and attempt.
  reader_ = std::make_unique<OutboxReader>(folder_.path());
  EXPECT_EQ(Read().size(), 1u);
  // Over two segments, of which the first ones are given back.
  for (uint64_t key = 2; key < 2 * kOutboxSegmentBytes / kNoteSlotBytes + 10; ++key) {
    ASSERT_TRUE(writer_->AppendQuietly(NoteOf(key)));
  }
  Read();
  reader_->ReleaseRead();
  ASSERT_FALSE(Exists(2));
  reader_ = std::make_unique<OutboxReader>(folder_.path());
  EXPECT_FALSE(Read().empty());
  EXPECT_TRUE(writer_->Append(NoteOf(7)));
  EXPECT_EQ(Read().size(), 1u);
  reader_->ReleaseRead();
  EXPECT_TRUE(Exists(3));
}

TEST_F(OutboxTest, SkipsADamagedNoteAndCountsIt) {
  for (uint64_t key = 1; key <= 3; ++key) EXPECT_TRUE(writer_->Append(NoteOf(key), "text"));
  Damage(1, At(1, sizeof(NoteSlot)), "TEXT");
  const std::vector<Seen> seen = Read();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].first.job_key, 1u);
  EXPECT_EQ(seen[1].first.job_key, 3u);
  EXPECT_EQ(reader_->damaged(), 1u);
}

TEST_F(OutboxTest, BelievesNoLength) {
  for (uint64_t key = 1; key <= 4; ++key) EXPECT_TRUE(writer_->Append(NoteOf(key)));
  // No slots; more slots than a note can have; more text than its slots hold.
  Damage(1, At(0, offsetof(NoteSlot, slots)), std::string(4, '\0'));
  Damage(1, At(1, offsetof(NoteSlot, slots)), std::string(4, '\xff'));
  Damage(1, At(2, offsetof(NoteSlot, text_size)), std::string("\0\0\1\0", 4));
  const std::vector<Seen> seen = Read();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].first.job_key, 4u);
  EXPECT_EQ(reader_->damaged(), 3u);
}

TEST_F(OutboxTest, SurvivesAFileThatIsCutShort) {
  for (uint64_t key = 1; key <= 4; ++key) EXPECT_TRUE(writer_->Append(NoteOf(key)));
  ASSERT_EQ(::truncate(OutboxSegmentPath(folder_.path(), 1).c_str(), 2 * kNoteSlotBytes + 10), 0);
  EXPECT_EQ(Read().size(), 2u);
  EXPECT_TRUE(Read().empty());
}

TEST_F(OutboxTest, FollowsNoLinkToAnotherFile) {
  testing::TempDirectory elsewhere;
  ASSERT_EQ(::symlink(OutboxSegmentPath(folder_.path(), 1).c_str(),
                      OutboxSegmentPath(elsewhere.path(), 1).c_str()),
            0);
  EXPECT_TRUE(writer_->Append(NoteOf(1)));
  OutboxReader reader(elsewhere.path());
  EXPECT_EQ(reader.Read([](const Note&, std::string_view) {}), 0u);
}

TEST_F(OutboxTest, OutlivesItsWriter) {
  testing::TempDirectory folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Result<std::unique_ptr<OutboxWriter>> own = OutboxWriter::Create(folder.path());
    for (uint64_t key = 1; own.ok() && key <= 3; ++key) (*own)->Append(NoteOf(key), "said");
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  OutboxReader reader(folder.path());
  EXPECT_EQ(reader.Read([](const Note&, std::string_view text) { EXPECT_EQ(text, "said"); }), 3u);
}

TEST_F(OutboxTest, StopsAtANoteThatWasNotCommitted) {
  for (uint64_t key = 1; key <= 3; ++key) EXPECT_TRUE(writer_->Append(NoteOf(key)));
  // As a writer that was killed before its last store leaves it.
  Damage(1, At(2, offsetof(NoteSlot, commit)), std::string(4, '\0'));
  EXPECT_EQ(Read().size(), 2u);
  EXPECT_TRUE(Read().empty());
}

TEST_F(OutboxTest, SaysNothingForAForkedChild) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(writer_->Append(NoteOf(66)) ? 1 : 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the append was refused";
  EXPECT_TRUE(Read().empty());
}

TEST_F(OutboxTest, TakesNotesOfManyThreadsWhileItIsRead) {
  constexpr uint64_t kEach = 3000;
  std::atomic<int> running{3};
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 0; i < kEach; ++i) {
        writer_->Append(NoteOf(thread * kEach + i), std::string(i % 200, 'x'));
      }
      --running;
    });
  }
  std::vector<uint64_t> next(3, 0);
  uint64_t total = 0;
  pollfd bell{writer_->bell(), POLLIN, 0};
  while (total < 3 * kEach) {
    const bool last = running == 0;
    for (const Seen& seen : Read()) {
      const uint64_t thread = seen.first.job_key / kEach;
      EXPECT_EQ(seen.first.job_key % kEach, next[thread]++) << "each thread's in its order";
      ++total;
    }
    if (last) break;
    ::poll(&bell, 1, 100);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total, 3 * kEach);
  EXPECT_EQ(reader_->damaged(), 0u);
}

TEST_F(OutboxTest, RefusesAFolderThatHoldsOneOrIsNotThere) {
  EXPECT_FALSE(OutboxWriter::Create(folder_.path()).ok());
  const Result<std::unique_ptr<OutboxWriter>> nowhere = OutboxWriter::Create("/no/such/folder");
  ASSERT_FALSE(nowhere.ok());
  EXPECT_EQ(nowhere.error().code, ErrorCode::kNotFound);
  EXPECT_NE(nowhere.error().message.find("/no/such/folder"), std::string::npos);
}

TEST(OutboxFolderTest, RefusesTmpfs) {
  char path[] = "/dev/shm/brood-test-XXXXXX";
  if (::mkdtemp(path) == nullptr) GTEST_SKIP() << "no tmpfs at /dev/shm";
  const Result<std::unique_ptr<OutboxWriter>> writer = OutboxWriter::Create(path);
  ::rmdir(path);
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(writer.error().reason, "STATE_ON_TMPFS");
  EXPECT_NE(writer.error().message.find("BROOD_STATE_DIR"), std::string::npos);
}

}  // namespace
}  // namespace brood
