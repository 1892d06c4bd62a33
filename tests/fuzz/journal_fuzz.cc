// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the records of a segment: what is read is whole and in order, and the rest is told
// apart into a torn tail and damage.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "agent/journal/segment_reader.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace brood;
  if (size >= sizeof(SegmentHeader)) {
    SegmentHeader header;
    std::memcpy(&header, data, sizeof(header));
    (void)CheckSegmentHeader(header, "0123456789abcdef");
  }
  // Half of the inputs get right checksums, or none would come past the first.
  std::string bytes(fuzz::TextOf(data, size));
  uint64_t cursor = 7;
  if (size > 0 && data[0] % 2 == 0) {
    for (size_t at = 0; at + sizeof(RecordHeader) <= bytes.size();) {
      const size_t payload = std::min<size_t>(static_cast<uint8_t>(bytes[at]) % 64,
                                              bytes.size() - at - sizeof(RecordHeader));
      const std::string text = bytes.substr(at + sizeof(RecordHeader), payload);
      EncodeRecord(cursor++, 3, text, bytes.data() + at);
      at += RecordBytes(payload);
    }
  }
  UniqueFd file(::memfd_create("segment", MFD_CLOEXEC));
  if (!file ||
      ::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    return 0;
  }
  SegmentReader reader(std::move(file), 0, 7, bytes.size());
  RecordView record;
  uint64_t last = 6;
  for (;;) {
    const uint64_t before = reader.offset();
    const Result<bool> more = reader.Next(&record);
    if (!more) {
      fuzz::Require(more.error().code == ErrorCode::kDataLoss, "what is no record is DATA_LOSS");
      (void)reader.RecordFollows();
      return 0;
    }
    if (!*more) return 0;
    fuzz::Require(record.cursor == ++last, "records come in order");
    fuzz::Require(record.payload.size() <= kJournalPayloadBytesMax, "and within their limit");
    fuzz::Require(reader.offset() > before, "and the reader goes on");
  }
}
