// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/journal_format.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "common/base/checksum.h"

namespace brood {
namespace {

constexpr size_t kCursorDigits = 20;
constexpr std::string_view kSuffix = ".log";

Error BadHeader(const std::string& why) {
  Error error;
  error.code = ErrorCode::kDataLoss;
  error.reason = "JOURNAL_DAMAGED";
  error.message = why;
  return error;
}

}  // namespace

SegmentHeader MakeSegmentHeader(std::string_view journal_id, uint64_t epoch,
                                std::string_view boot_id, uint64_t first_cursor) {
  SegmentHeader header{};
  std::memcpy(header.magic, kSegmentMagic, sizeof(kSegmentMagic));
  header.version = kJournalFormatVersion;
  header.header_bytes = sizeof(SegmentHeader);
  std::memcpy(header.journal_id, journal_id.data(), std::min(journal_id.size(), kJournalIdBytes));
  header.epoch = epoch;
  header.first_cursor = first_cursor;
  std::memcpy(header.boot_id, boot_id.data(), std::min(boot_id.size(), sizeof(header.boot_id)));
  header.crc = Crc32c(&header, offsetof(SegmentHeader, crc));
  return header;
}

Status CheckSegmentHeader(const SegmentHeader& header, std::string_view journal_id) {
  if (std::memcmp(header.magic, kSegmentMagic, sizeof(kSegmentMagic)) != 0) {
    return BadHeader("its first bytes are not those of a journal's segment");
  }
  if (header.version != kJournalFormatVersion) {
    return BadHeader("its format is version " + std::to_string(header.version) +
                     ", this agent reads version " + std::to_string(kJournalFormatVersion));
  }
  if (header.crc != Crc32c(&header, offsetof(SegmentHeader, crc)) ||
      header.header_bytes != sizeof(SegmentHeader)) {
    return BadHeader("its header is damaged");
  }
  if (std::string_view(header.journal_id, kJournalIdBytes) != journal_id) {
    return BadHeader("it belongs to journal " + std::string(header.journal_id, kJournalIdBytes) +
                     ", not to " + std::string(journal_id));
  }
  return Ok();
}

void EncodeRecord(uint64_t cursor, uint64_t job_key, std::string_view payload, char* out) {
  RecordHeader header;
  header.length = static_cast<uint32_t>(kRecordLengthMin + payload.size());
  header.crc = 0;
  header.cursor = cursor;
  header.job_key = job_key;
  std::memcpy(out + sizeof(header), payload.data(), payload.size());
  std::memcpy(out, &header, sizeof(header));
  header.crc = Crc32c(out + offsetof(RecordHeader, cursor), header.length);
  std::memcpy(out + offsetof(RecordHeader, crc), &header.crc, sizeof(header.crc));
}

bool DecodeRecord(const char* bytes, size_t size, RecordHeader* header) {
  if (size < sizeof(RecordHeader)) return false;
  std::memcpy(header, bytes, sizeof(RecordHeader));
  if (header->length < kRecordLengthMin ||
      header->length > kRecordLengthMin + kJournalPayloadBytesMax ||
      header->length > size - offsetof(RecordHeader, cursor)) {
    return false;
  }
  return header->crc == Crc32c(bytes + offsetof(RecordHeader, cursor), header->length);
}

std::string SegmentName(uint64_t first_cursor) {
  const std::string digits = std::to_string(first_cursor);
  return std::string(kCursorDigits - digits.size(), '0') + digits + std::string(kSuffix);
}

uint64_t FirstCursorOfName(std::string_view name) {
  if (name.size() != kCursorDigits + kSuffix.size() || !name.ends_with(kSuffix)) return 0;
  uint64_t cursor = 0;
  const char* end = name.data() + kCursorDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, cursor);
  return error == std::errc() && stop == end ? cursor : 0;
}

}  // namespace brood
