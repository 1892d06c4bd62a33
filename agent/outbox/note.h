// SPDX-License-Identifier: Apache-2.0
//
// A note is one fact that a parent or the supervisor saw, on its way to the
// agent's journal. Notes stand in fixed 256-byte slots of preallocated segment
// files (outbox_writer.h, outbox_reader.h): the fact survives the process that
// noted it. All numbers are in the machine's byte order: both ends are on one host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace brood {

enum class NoteKind : uint16_t {
  kNone = 0,
  // By parents, about jobs.
  // pid tid ppid pgid start_ns fork_ns gate_wait_ns threads_at_fork slot; of a forked call also
  // max_rss_bytes = the parent's resident memory (0: unknown), text = hazards (hazard_bytes.h)
  kStarted = 1,
  kFailedToStart = 2,  // text = "STEP\0sentence", error_number
  kExited = 3,         // pid code status, usage, slot, kGroupAlive; code 0 = unknown
  kStopped = 4,        // status = signal
  kContinued = 5,
  kReturned = 6,      // thread: value_kind, text = the value's bytes (value_bytes.h)
  kThrew = 7,         // thread: text = what
  kStopHonoured = 8,  // thread: it ended because its stop token was set
  kProgress = 9,      // thread: fraction, text
  // By parents, about themselves.
  kParentEnding = 10,  // status = how (brood.v1.ParentEnd)
  // By the supervisor.
  kParentStarted = 20,  // pid ppid start_ns; job_key = incarnation, text = name
  kParentEnded = 21,    // pid code status, usage; job_key = incarnation, text = name
  kOrphanExited = 22,   // pid ppid code status, usage; start_ns as /proc gives it (ticks as ns)
};

// Flags of a note.
inline constexpr uint32_t kGroupAlive = 1;  // kExited: its process group still has members
inline constexpr uint32_t kHasUsage = 2;    // the usage fields are set
// An end of a thread: its Streams frame was sent before this note, so output is to be awaited.
inline constexpr uint32_t kHasStreams = 4;
// An end of a thread: it has put writes into the watch file.
inline constexpr uint32_t kHasWrites = 8;

// What a note says; which fields mean something is said at its kind.
struct Note {
  NoteKind kind = NoteKind::kNone;
  uint16_t value_kind = 0;  // brood.v1.ValueType of `text`
  uint32_t attempt = 0;
  uint64_t job_key = 0;
  int64_t boot_ns = 0;  // CLOCK_BOOTTIME when it was seen
  int64_t wall_ns = 0;  // wall clock then
  int32_t pid = 0;
  int32_t tid = 0;
  int32_t ppid = 0;
  int32_t pgid = 0;
  int64_t start_ns = 0;  // CLOCK_BOOTTIME just after the creation, see process_life.h
  int64_t fork_ns = 0;
  int64_t gate_wait_ns = 0;
  uint32_t threads_at_fork = 0;
  uint32_t slot = 0;  // index in the slot file; kNoSlot if none
  int32_t code = 0;   // CLD_EXITED, CLD_KILLED, CLD_DUMPED; 0 = unknown
  int32_t status = 0;
  int64_t user_us = 0;
  int64_t system_us = 0;
  uint64_t max_rss_bytes = 0;
  double fraction = 0;
  int32_t error_number = 0;
  uint32_t flags = 0;
};

inline constexpr uint32_t kNoSlot = UINT32_MAX;

// One slot is one note with up to 80 bytes of text; longer texts take the
// slots that follow. 256 bytes: four cache lines, sixteen slots a page.
inline constexpr size_t kNoteSlotBytes = 256;

// The longest text of a note: a value's 48 KiB and its kind.
inline constexpr size_t kNoteTextBytesMax = 48 * 1024 + 64;

// 1 MiB: some thousands of notes, a few milliseconds to preallocate.
inline constexpr size_t kOutboxSegmentBytes = 1 << 20;

struct NoteSlot {
  uint32_t commit = 0;     // kNoteCommitted, stored last
  uint32_t crc = 0;        // CRC32C of what follows, text included
  uint32_t slots = 0;      // how many slots this note takes, from 1
  uint32_t text_size = 0;  // bytes of text after the note
  Note note;
};

inline constexpr uint32_t kNoteCommitted = 0x45544f4e;  // "NOTE"
// Stands in a slot's `commit` where the segment ends and the next one begins.
inline constexpr uint32_t kNoteSegmentEnd = 0x20444e45;  // "END "

static_assert(std::is_trivially_copyable_v<NoteSlot>);
static_assert(sizeof(NoteSlot) <= kNoteSlotBytes - 80);

}  // namespace brood
