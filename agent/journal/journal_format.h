// SPDX-License-Identifier: Apache-2.0
//
// What stands in a segment of the journal; docs/journal-format.md says it in words. All numbers are
// little-endian.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/base/error.h"

namespace brood {

static_assert(std::endian::native == std::endian::little, "the journal is read without conversion");

inline constexpr char kSegmentMagic[8] = {'B', 'R', 'O', 'O', 'D', 'J', 'N', 'L'};
inline constexpr uint32_t kJournalFormatVersion = 1;
// 16 hex digits.
inline constexpr size_t kJournalIdBytes = 16;
// A message of the API has at most 1 MiB, so no event has more.
inline constexpr size_t kJournalPayloadBytesMax = 1 << 20;

// The first 128 bytes of a segment.
struct SegmentHeader {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;  // where the first record stands
  char journal_id[kJournalIdBytes];
  uint64_t epoch;         // when the segment was made
  uint64_t first_cursor;  // of its first record, also if there is none yet
  char boot_id[48];       // when the segment was made; padded with NUL
  char reserved[28];      // 0
  uint32_t crc;           // CRC32C of all before it
};
static_assert(sizeof(SegmentHeader) == 128 && std::is_trivially_copyable_v<SegmentHeader>);

// The first 128 bytes of what stands beside the segments: snapshots and ids. The same records
// follow, with a meaning of their own for `cursor` and `job_key`.
struct SideHeader {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;
  char journal_id[kJournalIdBytes];
  uint64_t epoch;     // when the file was made
  uint64_t number;    // a snapshot's cursor; the number of the first id
  uint64_t records;   // in a snapshot; of ids: the entry before which all were given up
  uint64_t bytes;     // of a snapshot's file; else 0
  char reserved[60];  // 0
  uint32_t crc;       // CRC32C of all before it
};
static_assert(sizeof(SideHeader) == 128 && std::is_trivially_copyable_v<SideHeader>);

inline constexpr char kSnapshotMagic[8] = {'B', 'R', 'O', 'O', 'D', 'S', 'N', 'P'};
inline constexpr char kIdsMagic[8] = {'B', 'R', 'O', 'O', 'D', 'I', 'D', 'S'};

// Before each payload; records follow each other without padding.
struct RecordHeader {
  uint32_t length;  // bytes after `crc`: 16 and the payload's
  uint32_t crc;     // CRC32C of those
  uint64_t cursor;
  uint64_t job_key;
};
static_assert(sizeof(RecordHeader) == 24 && std::is_trivially_copyable_v<RecordHeader>);

// What `length` counts beside the payload.
inline constexpr uint32_t kRecordLengthMin = 16;

inline size_t RecordBytes(size_t payload_bytes) { return sizeof(RecordHeader) + payload_bytes; }

SegmentHeader MakeSegmentHeader(std::string_view journal_id, uint64_t epoch,
                                std::string_view boot_id, uint64_t first_cursor);

// Without its counts and its CRC.
SideHeader MakeSideHeader(const char (&magic)[8], std::string_view journal_id, uint64_t epoch,
                          uint64_t number);
void SealSideHeader(SideHeader* header);
// DATA_LOSS for anything but a whole header of that kind, this version and this journal.
Status CheckSideHeader(const SideHeader& header, const char (&magic)[8],
                       std::string_view journal_id);

// DATA_LOSS for anything but a whole header of this version and journal.
Status CheckSegmentHeader(const SegmentHeader& header, std::string_view journal_id);

// Writes one record to `out`, which has room for RecordBytes(payload.size()).
void EncodeRecord(uint64_t cursor, uint64_t job_key, std::string_view payload, char* out);

// The header of the record at `bytes`, which holds all `size` bytes of it or more; false if there
// is no record with a right length and checksum.
bool DecodeRecord(const char* bytes, size_t size, RecordHeader* header);

// "00000000000000000042" and the suffix: sorts by number. And back: nothing if it is not such a
// name.
inline constexpr std::string_view kSnapshotSuffix = ".snapshot";
inline constexpr std::string_view kIdsSuffix = ".ids";
std::string NumberedName(uint64_t number, std::string_view suffix);
std::optional<uint64_t> NumberOfName(std::string_view name, std::string_view suffix);

// "00000000000000000042.log": sorts by cursor. And back: 0 if it is not such a name.
std::string SegmentName(uint64_t first_cursor);
uint64_t FirstCursorOfName(std::string_view name);

}  // namespace brood
