// SPDX-License-Identifier: Apache-2.0
#include "agent/outbox/outbox_writer.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/base/planted_bug.h"

namespace brood {
namespace {

constexpr long kTmpfsMagic = 0x01021994;

class Lock {
 public:
  explicit Lock(pthread_mutex_t* mutex) : mutex_(mutex) { pthread_mutex_lock(mutex_); }
  ~Lock() { pthread_mutex_unlock(mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  pthread_mutex_t* const mutex_;
};

void Commit(char* slot, uint32_t word) {
  std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(slot))
      .store(word, std::memory_order_release);
}

}  // namespace

std::string OutboxSegmentPath(const std::string& directory, uint32_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "/outbox-%06u", number);
  return directory + name;
}

Result<std::unique_ptr<OutboxWriter>> OutboxWriter::Create(const std::string& directory) {
  struct statfs info {};
  if (::statfs(directory.c_str(), &info) != 0)
    return ErrnoError(errno, "outbox '" + directory + "'");
  if (info.f_type == kTmpfsMagic) {
    return Error{ErrorCode::kFailedPrecondition, "STATE_ON_TMPFS",
                 "the state directory '" + directory +
                     "' is on tmpfs; set BROOD_STATE_DIR to a folder on a disk",
                 ""};
  }
  UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell) return ErrnoError(errno, "eventfd");
  std::unique_ptr<OutboxWriter> writer(new OutboxWriter(directory, std::move(bell)));
  if (!writer->OpenSegment()) return ErrnoError(errno, "outbox segment in '" + directory + "'");
  return writer;
}

OutboxWriter::OutboxWriter(std::string directory, UniqueFd bell)
    : directory_(std::move(directory)), bell_(std::move(bell)), owner_(::getpid()) {}

OutboxWriter::~OutboxWriter() {
  if (segment_ != nullptr) ::munmap(segment_, kOutboxSegmentBytes);
}

bool OutboxWriter::OpenSegment() {
  const std::string path = OutboxSegmentPath(directory_, segment_number_ + 1);
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return false;
  // Reserve now, so that a full disk shows here and not as a SIGBUS later.
  const int reserved = ::posix_fallocate(fd.get(), 0, kOutboxSegmentBytes);
  if (reserved != 0) {
    ::unlink(path.c_str());
    errno = reserved;
    return false;
  }
  void* const mapped =
      ::mmap(nullptr, kOutboxSegmentBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) return false;
  if (!Planted(Bug::kChildSpeaks)) ::madvise(mapped, kOutboxSegmentBytes, MADV_DONTFORK);
  // Room for the end mark is always kept, see AppendQuietly.
  if (segment_ != nullptr) {
    Commit(segment_ + used_, kNoteSegmentEnd);
    ::munmap(segment_, kOutboxSegmentBytes);
  }
  segment_ = static_cast<char*>(mapped);
  used_ = 0;
  ++segment_number_;
  return true;
}

bool OutboxWriter::AppendQuietly(const Note& note, std::string_view text) {
  const bool child = ::getpid() != owner_ && !Planted(Bug::kChildSpeaks);
  if (child || text.size() > kNoteTextBytesMax) return false;
  NoteSlot slot;
  slot.note = note;
  slot.text_size = static_cast<uint32_t>(text.size());
  const size_t bytes = sizeof(NoteSlot) + text.size();
  slot.slots = static_cast<uint32_t>((bytes + kNoteSlotBytes - 1) / kNoteSlotBytes);
  constexpr size_t kChecked = offsetof(NoteSlot, slots);
  slot.crc = Crc32c(reinterpret_cast<const char*>(&slot) + kChecked, sizeof(slot) - kChecked);
  slot.crc = Crc32c(text.data(), text.size(), slot.crc);

  if (FailsAt("outbox.append")) return false;
  const Lock lock(&mutex_);
  // One slot stays free for the end mark.
  if (used_ + (slot.slots + 1) * kNoteSlotBytes > kOutboxSegmentBytes && !OpenSegment())
    return false;
  char* const place = segment_ + used_;
  std::memcpy(place + sizeof(slot.commit),
              reinterpret_cast<const char*>(&slot) + sizeof(slot.commit),
              sizeof(slot) - sizeof(slot.commit));
  if (!text.empty()) std::memcpy(place + sizeof(slot), text.data(), text.size());
  used_ += slot.slots * kNoteSlotBytes;
  Failpoint("outbox.commit");
  Commit(place, kNoteCommitted);
  return true;
}

void OutboxWriter::Ring() {
  Failpoint("outbox.ring");
  const uint64_t one = 1;
  // Full (2^64 - 2 rings unread) cannot happen; a lost write would only delay.
  (void)!::write(bell_.get(), &one, sizeof(one));
}

bool OutboxWriter::Append(const Note& note, std::string_view text) {
  const bool appended = AppendQuietly(note, text);
  if (appended) Ring();
  return appended;
}

}  // namespace brood
