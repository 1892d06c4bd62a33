// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as what a parent, which runs users' code, sends to the agent: frames on the socket, and
// notes in its outbox.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "agent/host/note_facts.h"
#include "agent/outbox/hazard_bytes.h"
#include "agent/outbox/outbox_reader.h"
#include "agent/outbox/outbox_writer.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/checksum.h"
#include "common/base/frame_socket.h"
#include "tests/fuzz/fuzz.h"
#include "tests/testing/temp_directory.h"

namespace brood::fuzz {
namespace {

// What a socket's buffer surely takes at once.
constexpr size_t kSocketBytesMax = 64 << 10;

void ReadFrames(std::string_view bytes) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
  FrameSocket socket{UniqueFd(ends[0])};
  const UniqueFd peer(ends[1]);
  bytes = bytes.substr(0, kSocketBytesMax);
  if (::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
  (void)socket.Receive([](std::string_view payload) {
    Require(payload.size() <= kFrameBytesMax, "a frame is within its limit");
    internal::v1::FromParent frame;
    (void)frame.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
    internal::v1::FromSupervisor other;
    (void)other.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
  });
}

// Every slot gets the words that make it look committed, and its checksum.
void Commit(std::string* bytes) {
  for (size_t at = 0; at + kNoteSlotBytes <= bytes->size();) {
    NoteSlot slot;
    std::memcpy(&slot, bytes->data() + at, sizeof(slot));
    const size_t slots = std::clamp<size_t>(slot.slots, 1, (bytes->size() - at) / kNoteSlotBytes);
    slot.slots = static_cast<decltype(slot.slots)>(slots);
    slot.text_size = static_cast<decltype(slot.text_size)>(
        std::min<size_t>(slot.text_size, slots * kNoteSlotBytes - sizeof(slot)));
    slot.commit = kNoteCommitted;
    std::memcpy(bytes->data() + at, &slot, sizeof(slot));
    constexpr size_t kChecked = offsetof(NoteSlot, slots);
    uint32_t crc = Crc32c(bytes->data() + at + kChecked, sizeof(slot) - kChecked);
    slot.crc = Crc32c(bytes->data() + at + sizeof(slot), slot.text_size, crc);
    std::memcpy(bytes->data() + at, &slot, sizeof(slot));
    at += slots * kNoteSlotBytes;
  }
}

void ReadNotes(std::string bytes, bool committed) {
  static const testing::TempDirectory folder;
  if (committed) Commit(&bytes);
  const UniqueFd file(::open(OutboxSegmentPath(folder.path(), 1).c_str(),
                             O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file || ::write(file.get(), bytes.data(), bytes.size()) < 0) return;
  OutboxReader reader(folder.path());
  reader.Read([](const Note& note, std::string_view text) {
    (void)StartedOfNote(note);
    (void)StatusOfNote(note);
    (void)FailedOfNote(note, text);
    (void)ResultOfNote(note, text);
    (void)FromHazardBytes(text);
  });
}

}  // namespace
}  // namespace brood::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace brood::fuzz;
  if (size == 0) return 0;
  const std::string_view rest = TextOf(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      ReadFrames(rest);
      return 0;
    case 1:
      ReadNotes(std::string(rest), true);
      return 0;
    default:
      ReadNotes(std::string(rest), false);
      return 0;
  }
}
