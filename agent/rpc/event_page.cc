// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/event_page.h"

#include <algorithm>

#include "agent/rpc/limits.h"
#include "brood/v1/event.pb.h"
#include "brood/v1/job_service.pb.h"

namespace brood {
namespace {

constexpr int kFirstPayloadField = v1::Event::kReceivedFieldNumber;
constexpr uint32_t kVarint = 0;
constexpr uint32_t kFixed64 = 1;
constexpr uint32_t kBytes = 2;
constexpr uint32_t kFixed32 = 5;

bool ReadVarint(std::string_view* in, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    *value |= uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80u) == 0) return true;
  }
  return false;
}

void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

}  // namespace

int PayloadField(std::string_view event) {
  // A walk over the tags; parsing the message would cost fifty times as much.
  while (!event.empty()) {
    uint64_t tag = 0;
    uint64_t size = 0;
    if (!ReadVarint(&event, &tag)) return 0;
    const int field = static_cast<int>(tag >> 3);
    if (field >= kFirstPayloadField) return field;
    switch (tag & 7) {
      case kVarint:
        if (!ReadVarint(&event, &size)) return 0;
        continue;
      case kFixed64:
        size = 8;
        break;
      case kFixed32:
        size = 4;
        break;
      case kBytes:
        if (!ReadVarint(&event, &size)) return 0;
        break;
      default:
        return 0;
    }
    if (size > event.size()) return 0;
    event.remove_prefix(size);
  }
  return 0;
}

void AppendField(int number, std::string_view message, std::string* bytes) {
  AppendVarint(static_cast<uint64_t>(number) << 3 | kBytes, bytes);
  AppendVarint(message.size(), bytes);
  bytes->append(message);
}

std::string GapMessage(const std::string& host, uint64_t first, uint64_t last) {
  v1::WatchEventsResponse response;
  v1::Event* const event = response.add_events();
  event->set_host(host);
  event->set_observer(v1::OBSERVER_AGENT);
  event->set_evidence(v1::EVIDENCE_SEEN);
  event->mutable_gap()->set_first_cursor(first);
  event->mutable_gap()->set_last_cursor(last);
  event->mutable_gap()->set_why("no longer kept");
  return response.SerializeAsString();
}

void EventPages::FillOutput(uint64_t job_key, std::string_view event, std::string* filled) const {
  v1::Event parsed;
  if (!parsed.ParseFromArray(event.data(), static_cast<int>(event.size()))) return;
  v1::Output* const output = parsed.mutable_output();
  const OutputStream stream =
      output->stream() == v1::STREAM_STDOUT ? OutputStream::kStdout : OutputStream::kStderr;
  // Empty where it is no longer kept: the event says how much there was.
  Result<Spool::Piece> piece = spool_->Read(job_key, stream, output->offset(),
                                            std::min<size_t>(output->length(), kOutputChunkBytes));
  if (piece && !piece->bytes.empty()) {
    output->set_bytes_offset(piece->offset);
    *output->mutable_bytes() = std::move(piece->bytes);
  }
  parsed.SerializeToString(filled);
}

EventPage EventPages::Read(uint64_t cursor, uint64_t until, bool include_output,
                           const Filter& filter) const {
  EventPage page;
  page.last_cursor = cursor;
  page.at_head = true;
  int looked = 0;
  page.failed = journal_->Read(cursor, [&](uint64_t at, uint64_t job_key, std::string_view event) {
    if (at > until) return false;
    if (page.count >= kEventsPerResponse || page.bytes.size() >= kEventBytesPerResponse ||
        looked >= kRecordsPerLook) {
      page.at_head = false;
      return false;
    }
    ++looked;
    page.last_cursor = at;
    const int field = PayloadField(event);
    if (!filter(at, job_key, field, event)) return true;
    ++page.count;
    if (include_output && field == v1::Event::kOutputFieldNumber) {
      std::string filled;
      FillOutput(job_key, event, &filled);
      AppendField(1, filled, &page.bytes);
    } else {
      AppendField(1, event, &page.bytes);
    }
    return true;
  });
  return page;
}

}  // namespace brood
