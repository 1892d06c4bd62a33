// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/journal_format.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "common/base/checksum.h"
#include "common/base/planted_bug.h"

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

// What both kinds of header begin and end with.
template <typename Header>
Header BeginHeader(const char (&magic)[8], std::string_view journal_id, uint64_t epoch) {
  Header header{};
  std::memcpy(header.magic, magic, sizeof(magic));
  header.version = kJournalFormatVersion;
  header.header_bytes = sizeof(Header);
  std::memcpy(header.journal_id, journal_id.data(), std::min(journal_id.size(), kJournalIdBytes));
  header.epoch = epoch;
  return header;
}

template <typename Header>
uint32_t CrcOf(const Header& header) {
  return Crc32c(&header, offsetof(Header, crc));
}

// `kind`: "a journal's segment".
template <typename Header>
Status CheckHeader(const Header& header, const char (&magic)[8], const std::string& kind,
                   std::string_view journal_id) {
  if (std::memcmp(header.magic, magic, sizeof(magic)) != 0)
    return BadHeader("its first bytes are not those of " + kind);
  if (header.version != kJournalFormatVersion) {
    return BadHeader("its format is version " + std::to_string(header.version) +
                     ", this agent reads version " + std::to_string(kJournalFormatVersion));
  }
  if (header.crc != CrcOf(header) || header.header_bytes != sizeof(Header))
    return BadHeader("its header is damaged");
  const std::string_view id(header.journal_id, kJournalIdBytes);
  if (id != journal_id) {
    return BadHeader("it belongs to journal " + std::string(id) + ", not to " +
                     std::string(journal_id));
  }
  return Ok();
}

}  // namespace

SegmentHeader MakeSegmentHeader(std::string_view journal_id, uint64_t epoch,
                                std::string_view boot_id, uint64_t first_cursor) {
  auto header = BeginHeader<SegmentHeader>(kSegmentMagic, journal_id, epoch);
  header.first_cursor = first_cursor;
  std::memcpy(header.boot_id, boot_id.data(), std::min(boot_id.size(), sizeof(header.boot_id)));
  header.crc = CrcOf(header);
  return header;
}

Status CheckSegmentHeader(const SegmentHeader& header, std::string_view journal_id) {
  return CheckHeader(header, kSegmentMagic, "a journal's segment", journal_id);
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
  return Planted(Bug::kNoChecksum) ||
         header->crc == Crc32c(bytes + offsetof(RecordHeader, cursor), header->length);
}

SideHeader MakeSideHeader(const char (&magic)[8], std::string_view journal_id, uint64_t epoch,
                          uint64_t number) {
  auto header = BeginHeader<SideHeader>(magic, journal_id, epoch);
  header.number = number;
  return header;
}

void SealSideHeader(SideHeader* header) { header->crc = CrcOf(*header); }

Status CheckSideHeader(const SideHeader& header, const char (&magic)[8],
                       std::string_view journal_id) {
  return CheckHeader(header, magic, "such a file", journal_id);
}

std::string NumberedName(uint64_t number, std::string_view suffix) {
  const std::string digits = std::to_string(number);
  return std::string(kCursorDigits - digits.size(), '0') + digits + std::string(suffix);
}

std::optional<uint64_t> NumberOfName(std::string_view name, std::string_view suffix) {
  if (name.size() != kCursorDigits + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  uint64_t number = 0;
  const char* end = name.data() + kCursorDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::string SegmentName(uint64_t first_cursor) { return NumberedName(first_cursor, kSuffix); }

uint64_t FirstCursorOfName(std::string_view name) {
  return NumberOfName(name, kSuffix).value_or(0);
}

}  // namespace brood
