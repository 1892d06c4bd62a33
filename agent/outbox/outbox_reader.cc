// SPDX-License-Identifier: Apache-2.0
#include "agent/outbox/outbox_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "agent/outbox/outbox_writer.h"
#include "common/base/checksum.h"
#include "common/base/planted_bug.h"

namespace brood {
namespace {

// What one pread takes: 64 slots, or the longest note, whichever is more.
constexpr size_t kReadBytes = 64 * 1024;
static_assert(kReadBytes >= kNoteTextBytesMax + 2 * kNoteSlotBytes);

// The number of the first segment that is still there; 0 if there is none.
uint32_t FirstSegment(const std::string& directory) {
  DIR* const entries = ::opendir(directory.c_str());
  if (entries == nullptr) return 0;
  uint32_t first = 0;
  while (const dirent* const entry = ::readdir(entries)) {
    uint32_t number = 0;
    if (std::sscanf(entry->d_name, "outbox-%u", &number) != 1 || number == 0) continue;
    if (first == 0 || number < first) first = number;
  }
  ::closedir(entries);
  return first;
}

}  // namespace

OutboxReader::OutboxReader(std::string directory)
    : directory_(std::move(directory)), buffer_(kReadBytes) {}

bool OutboxReader::OpenNext() {
  // What an earlier reader has released is gone: a new one begins after it.
  if (segment_number_ == 0) {
    const uint32_t first = FirstSegment(directory_);
    if (first == 0) return false;
    segment_number_ = released_number_ = first - 1;
  }
  const std::string path = OutboxSegmentPath(directory_, segment_number_ + 1);
  UniqueFd next(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!next) return false;
  segment_ = std::move(next);
  ++segment_number_;
  position_ = 0;
  if (Planted(Bug::kOutboxFreedEarly)) ReleaseRead();
  return true;
}

size_t OutboxReader::Read(const Sink& sink) {
  if (!segment_ && !OpenNext()) return 0;
  size_t count = 0;
  // A quiet outbox costs one small read: most wake-ups bring one or two notes.
  size_t want = 16 * kNoteSlotBytes;
  size_t doubted = SIZE_MAX;  // the position read a second time
  for (;;) {
    const ssize_t got =
        ::pread(segment_.get(), buffer_.data(), want, static_cast<off_t>(position_));
    if (got < static_cast<ssize_t>(kNoteSlotBytes)) return count;
    size_t at = 0;
    bool wants_more = true;
    bool next_segment = false;
    bool again = false;
    while (at + kNoteSlotBytes <= static_cast<size_t>(got)) {
      NoteSlot slot;
      std::memcpy(&slot, buffer_.data() + at, sizeof(slot));
      if (slot.commit == kNoteSegmentEnd) {
        if (!OpenNext()) return count;
        next_segment = true;
        break;
      }
      if (slot.commit != kNoteCommitted) {
        wants_more = false;
        break;
      }
      const size_t bytes = size_t{slot.slots} * kNoteSlotBytes;
      if (slot.slots == 0 || bytes > kReadBytes || sizeof(slot) + slot.text_size > bytes) {
        ++damaged_;  // Not a length to trust: step one slot.
        at += kNoteSlotBytes;
        position_ += kNoteSlotBytes;
        continue;
      }
      if (at + bytes > static_cast<size_t>(got)) break;  // Read again from here.
      constexpr size_t kChecked = offsetof(NoteSlot, slots);
      const char* const start = buffer_.data() + at;
      uint32_t crc = Crc32c(start + kChecked, sizeof(slot) - kChecked);
      crc = Crc32c(start + sizeof(slot), slot.text_size, crc);
      if (Planted(Bug::kNoteUnchecked)) crc = slot.crc;
      if (crc != slot.crc && position_ != doubted) {
        // The commit word is stored last, but a read may fetch the slot's cache
        // lines in any order: what is committed by now is whole when read again.
        doubted = position_;
        at = 0;
        again = true;
        break;
      }
      at += bytes;
      position_ += bytes;
      if (crc != slot.crc) {
        ++damaged_;
        continue;
      }
      ++count;
      sink(slot.note, std::string_view(start + sizeof(slot), slot.text_size));
    }
    if (again) continue;
    if (!wants_more) return count;
    // A short read that gave nothing is the end of the file; of this one, not of the next.
    const bool short_read = static_cast<size_t>(got) < kReadBytes;
    if (!next_segment && at == 0 && want == kReadBytes && short_read) return count;
    want = kReadBytes;
  }
}

void OutboxReader::ReleaseRead() {
  // All before the current one are read; a process that is gone leaves its
  // folder to whoever removes the incarnation.
  while (released_number_ + 1 < segment_number_) {
    ++released_number_;
    ::unlink(OutboxSegmentPath(directory_, released_number_).c_str());
  }
}

}  // namespace brood
