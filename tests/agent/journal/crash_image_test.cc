// SPDX-License-Identifier: Apache-2.0
//
// What a disk may hold after brood has died, or its power: images made of what a journal asked of
// its files, in tens of thousands, each opened.
//
//   BROOD_CRASH_IMAGES  how many (50,000)
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "agent/journal/file_journal.h"
#include "agent/journal/journal_format.h"
#include "agent/journal/snapshot_file.h"
#include "common/base/unique_fd.h"
#include "tests/agent/journal/recorded_files.h"

namespace brood::testing {
namespace {

namespace fs = std::filesystem;
using What = DiskCall::What;
using Random = std::mt19937_64;

constexpr uint64_t kSeed = 20'240'611;
constexpr int kRuns = 20;
constexpr int kImages = 50'000;
constexpr int kFlipsOfARun = 300;

int ImagesAskedFor() {
  const char* const text = std::getenv("BROOD_CRASH_IMAGES");
  return text == nullptr ? kImages : std::max(std::atoi(text), kRuns);
}

std::string PayloadOf(uint64_t cursor) {
  std::string text = "event " + std::to_string(cursor) + " ";
  const size_t size = cursor % 10 == 0 ? 2'000 : cursor * 7 % 200;
  text.resize(std::max(text.size(), size), static_cast<char>(cursor * 31));
  return text;
}

// In memory: it is about what is found, not about lasting.
std::string Folder() {
  std::string name =
      fs::exists("/dev/shm") ? "/dev/shm/brood-images-XXXXXX" : "brood-images-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  return name;
}

class CrashImageTest : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }

  Journal::Options Options(JournalFiles* files) const {
    Journal::Options options;
    options.segment_bytes = 12'000;
    options.tail_bytes = 4'096;
    options.free_bytes_min = 0;
    options.files = files;
    return options;
  }
  // A journal's life: batches, syncs, segments, two snapshots.
  std::vector<DiskCall> Record(Random* random);
  // Writes the image and opens it; where each cursor stands is compared with what is true.
  void Open(const DiskImage& image, const std::string& boot);
  static DiskImage Whole(const std::vector<DiskCall>& calls, size_t count, size_t torn);
  static DiskImage AfterPowerLoss(const std::vector<DiskCall>& calls, size_t count, Random* random);

  const std::string folder_ = Folder();
  RecordedFiles opened_;
  std::vector<std::string> names_;  // that are in the image's folder
  uint64_t head_ = 0;
  std::optional<Error> error_;  // of the opening or the reading
  bool read_ = false;           // it was opened
  std::string what_;            // of the records that were read, the first that is wrong
};

std::vector<DiskCall> CrashImageTest::Record(Random* random) {
  const std::string directory = folder_ + "/run";
  fs::remove_all(directory);
  RecordedFiles files;
  Result<std::unique_ptr<Journal>> journal =
      FileJournal::Open(directory, Options(&files), "boot-1");
  EXPECT_TRUE(journal.ok());
  uint64_t cursor = 0;
  uint64_t synced = 0;
  for (int batch = 0; batch < 36; ++batch) {
    std::vector<JournalRecord> records;
    for (uint64_t i = (*random)() % 4; i != UINT64_MAX; --i) {
      ++cursor;
      records.push_back({cursor, cursor % 3, PayloadOf(cursor)});
    }
    EXPECT_FALSE((*journal)->Append(records));
    if ((*random)() % 6 == 0) synced = *(*journal)->Sync();
    if (batch == 12 || batch == 24) {
      EXPECT_FALSE((*journal)->WriteSnapshot(cursor, {"state at " + std::to_string(cursor)}));
      synced = cursor;
    }
    files.Mark(cursor, synced);
  }
  return files.calls();
}

void CrashImageTest::Open(const DiskImage& image, const std::string& boot) {
  const std::string directory = folder_ + "/image";
  fs::create_directory(directory);
  for (const std::string& name : names_) {
    if (image.count(name) == 0) fs::remove(directory + "/" + name);
  }
  names_.clear();
  for (const auto& [name, bytes] : image) {
    const UniqueFd file(
        ::open((directory + "/" + name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  head_ = 0;
  read_ = false;
  error_.reset();
  what_.clear();
  opened_.Clear();
  Result<std::unique_ptr<Journal>> journal = FileJournal::Open(directory, Options(&opened_), boot);
  for (const auto& entry : fs::directory_iterator(directory))
    names_.push_back(entry.path().filename());
  if (!journal) {
    error_ = journal.error();
    return;
  }
  read_ = true;
  head_ = (*journal)->head();
  const auto wrong = [this](const std::string& what) {
    if (what_.empty()) what_ = what;
  };
  uint64_t next = 1;
  if (const Status bad = (*journal)->Read(0, [&](uint64_t cursor, uint64_t key, auto payload) {
        if (cursor != next++ || key != cursor % 3 || payload != PayloadOf(cursor))
          wrong("record " + std::to_string(cursor));
        return true;
      })) {
    error_ = *bad;
  } else if (next != head_ + 1) {
    wrong("the end");
  }
  const uint64_t restored = (*journal)->restored_cursor();
  if (restored > head_) wrong("a snapshot past the head");
  EXPECT_FALSE((*journal)->ReadSnapshot([&](std::string_view part) {
    if (part != "state at " + std::to_string(restored)) wrong("the snapshot");
  }));
}

// All that was asked up to there, of the last write only so many bytes.
DiskImage CrashImageTest::Whole(const std::vector<DiskCall>& calls, size_t count, size_t torn) {
  std::map<int, std::string> files;
  std::map<std::string, int> names;
  for (size_t i = 0; i < count; ++i) {
    const DiskCall& call = calls[i];
    std::string& bytes = files[call.file];
    if (call.what == What::kOpen) {
      if (call.empty) bytes.clear();
      names[call.name] = call.file;
    } else if (call.what == What::kWrite) {
      const size_t size = i + 1 == count ? std::min(torn, call.bytes.size()) : call.bytes.size();
      bytes.resize(std::max(bytes.size(), static_cast<size_t>(call.offset) + size));
      bytes.replace(call.offset, size, call.bytes, 0, size);
    } else if (call.what == What::kTruncate) {
      bytes.resize(call.offset);
    } else if (call.what == What::kRename) {
      std::erase_if(names, [&](const auto& name) { return name.second == call.file; });
      names[call.name] = call.file;
    }
  }
  DiskImage image;
  for (const auto& [name, file] : names) image[name] = files[file];
  return image;
}

// What was synced, of the rest any part: writes whole, torn at a sector or a page, or not at all,
// in whatever order; of the names a part from the first on.
DiskImage CrashImageTest::AfterPowerLoss(const std::vector<DiskCall>& calls, size_t count,
                                         Random* random) {
  std::map<int, size_t> synced;  // by file, the call of its last sync
  size_t named = 0;
  size_t name_calls = 0;
  for (size_t i = 0; i < count; ++i) {
    if (calls[i].what == What::kSync) synced[calls[i].file] = i;
    if (calls[i].what == What::kSyncDirectory) named = i;
  }
  for (size_t i = named; i < count; ++i)
    name_calls += calls[i].what == What::kRename || calls[i].what == What::kOpen ? 1 : 0;
  size_t names_left = (*random)() % (name_calls + 1);
  std::vector<DiskCall> done;
  for (size_t i = 0; i < count; ++i) {
    DiskCall call = calls[i];
    const bool sure = synced.count(call.file) > 0 && i <= synced[call.file];
    const bool is_name = call.what == What::kRename || call.what == What::kOpen;
    if (is_name && i > named && names_left-- == 0) {
      names_left = 0;
      // The file is there for those who have it open, without that name.
      if (call.what == What::kRename) continue;
      call.name = "unnamed-" + std::to_string(i);
    } else if (call.what == What::kTruncate && !sure && (*random)() % 2 == 0) {
      continue;
    } else if (call.what == What::kWrite && !sure) {
      const uint64_t fate = (*random)() % 4;
      if (fate == 0) continue;
      if (fate == 1 || fate == 2) {
        const uint64_t unit = fate == 1 ? 512 : 4'096;
        const uint64_t end = call.offset + call.bytes.size();
        uint64_t from = call.offset;
        // Each sector or page for itself.
        while (from < end) {
          const uint64_t to = std::min(end, (from / unit + 1) * unit);
          if ((*random)() % 2 == 0) {
            DiskCall part = call;
            part.bytes = call.bytes.substr(from - call.offset, to - from);
            part.offset = from;
            done.push_back(std::move(part));
          }
          from = to;
        }
        continue;
      }
    }
    done.push_back(std::move(call));
  }
  return Whole(done, done.size(), SIZE_MAX);
}

// The cursors whose records stand whole in that image's last segment, where they were written.
struct LastSegment {
  uint64_t first = 0;
  std::set<uint64_t> whole;
};
LastSegment LookAtLast(const DiskImage& image, uint64_t last_cursor) {
  LastSegment segment;
  std::string bytes;
  for (const auto& [name, content] : image) {
    if (const uint64_t first = FirstCursorOfName(name); first > segment.first) {
      segment.first = first;
      bytes = content;
    }
  }
  size_t at = sizeof(SegmentHeader);
  for (uint64_t cursor = segment.first; cursor <= last_cursor && segment.first > 0; ++cursor) {
    const std::string payload = PayloadOf(cursor);
    std::string record(RecordBytes(payload.size()), '\0');
    EncodeRecord(cursor, cursor % 3, payload, record.data());
    if (bytes.compare(std::min(at, bytes.size()), record.size(), record) == 0)
      segment.whole.insert(cursor);
    at += record.size();
  }
  return segment;
}

TEST_F(CrashImageTest, NothingAcknowledgedIsMissingAndNothingInvented) {
  std::cout << "seed " << kSeed << "\n";
  Random random(kSeed);
  const int images_of_a_run = ImagesAskedFor() / kRuns;
  int holes = 0;
  int cut = 0;
  for (int run = 0; run < kRuns; ++run) {
    const std::vector<DiskCall> calls = Record(&random);
    for (int i = 0; i < images_of_a_run; ++i) {
      const size_t count = 1 + random() % calls.size();
      uint64_t written = 0;  // acknowledged before that moment
      uint64_t synced = 0;
      uint64_t begun = 0;
      for (size_t at = 0; at < calls.size() && begun == 0; ++at) {
        if (calls[at].what != What::kMark) continue;
        if (at < count) {
          written = calls[at].written;
          synced = calls[at].synced;
        } else {
          begun = calls[at].written;
        }
      }
      if (begun == 0) begun = written;
      SCOPED_TRACE("run " + std::to_string(run) + ", image " + std::to_string(i) + ", " +
                   std::to_string(count) + " calls");
      const bool power = i % 5 != 0;
      const DiskImage image =
          power ? AfterPowerLoss(calls, count, &random) : Whole(calls, count, random() % 3'000);
      Open(image, power ? "boot-2" : "boot-1");
      ASSERT_EQ(what_, "");
      const LastSegment last = LookAtLast(image, begun);
      uint64_t head = last.first == 0 ? 0 : last.first - 1;
      while (last.whole.count(head + 1) > 0) ++head;
      const bool hole = !last.whole.empty() && *last.whole.rbegin() > head;
      // Known to be no damage: nothing behind the last sync was promised.
      ASSERT_TRUE(power || !hole);
      holes += hole ? 1 : 0;
      ASSERT_FALSE(error_.has_value()) << error_->message;
      ASSERT_EQ(head_, head);
      ASSERT_GE(head_, power ? synced : written);
      ASSERT_LE(head_, begun);
      cut += head_ < written ? 1 : 0;
    }
  }
  std::cout << kRuns * images_of_a_run << " opened, " << cut << " without events that were not "
            << "synced, " << holes << " with others behind the hole\n";
  // A quarter and a fifth are.
  EXPECT_GT(cut, images_of_a_run * kRuns / 50);
  EXPECT_GT(holes, images_of_a_run * kRuns / 50);
}

TEST_F(CrashImageTest, ABitThatFlipsIsNeverPassedOver) {
  std::cout << "seed " << kSeed << "\n";
  Random random(kSeed);
  int refused = 0;
  for (int run = 0; run < kRuns; ++run) {
    const std::vector<DiskCall> calls = Record(&random);
    const DiskImage whole = Whole(calls, calls.size(), SIZE_MAX);
    const uint64_t written = calls.back().written;
    size_t bytes = 0;
    for (const auto& file : whole) bytes += file.second.size();
    for (int i = 0; i < kFlipsOfARun; ++i) {
      DiskImage image = whole;
      size_t at = random() % bytes;
      auto file = image.begin();
      for (; at >= file->second.size(); ++file) at -= file->second.size();
      file->second[at] = static_cast<char>(file->second[at] ^ (1 << random() % 8));
      SCOPED_TRACE("run " + std::to_string(run) + ", flip in " + file->first + " at " +
                   std::to_string(at));
      Open(image, "boot-1");
      ASSERT_EQ(what_, "");
      if (error_) {
        ASSERT_EQ(error_->code, ErrorCode::kDataLoss);
        ASSERT_NE(error_->message.find(folder_), std::string::npos) << error_->message;
        const bool record = FirstCursorOfName(file->first) > 0 && at >= sizeof(SegmentHeader);
        if (record) {
          ASSERT_NE(error_->message.find("offset"), std::string::npos) << error_->message;
        }
        ++refused;
      } else if (head_ != written) {
        // The last record is taken for one that was torn.
        const LastSegment last = LookAtLast(image, written);
        ASSERT_EQ(FirstCursorOfName(file->first), last.first);
        ASSERT_EQ(head_, written - 1);
      } else {
        // A snapshot that an older one stands in for, a name of the boot, a file without meaning.
        ASSERT_EQ(FirstCursorOfName(file->first), 0u);
      }
    }
  }
  EXPECT_GT(refused, 1'000);
}

}  // namespace
}  // namespace brood::testing
