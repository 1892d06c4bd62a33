// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "agent/journal/journal.h"
#include "agent/spool/spool.h"

namespace brood {

// The events of one response, already in wire form: both RunJobsResponse and
// WatchEventsResponse have them as field 1.
struct EventPage {
  std::string bytes;
  int count = 0;
  uint64_t last_cursor = 0;  // up to here has been looked at
  bool at_head = false;      // there was nothing more to look at
  Status failed;             // the journal could not be read further
};

// Which payload an event has: the number of its field in brood.v1.Event; 0 if none.
int PayloadField(std::string_view event);

// Appends `message` as field `number` of the message in `*bytes`.
void AppendField(int number, std::string_view message, std::string* bytes);

// A response with one GAP: the events with these cursors are no longer kept.
std::string GapMessage(const std::string& host, uint64_t first, uint64_t last);

// Reads pages of events from the journal. Thread-safe.
class EventPages {
 public:
  // Whether the record is wanted; also told its payload field.
  using Filter =
      std::function<bool(uint64_t cursor, uint64_t job_key, int field, std::string_view event)>;

  EventPages(const Journal* journal, const Spool* spool) : journal_(journal), spool_(spool) {}

  // The next page strictly after `cursor` and up to `until`. With
  // `include_output`, the bytes of OUTPUT events are filled in.
  EventPage Read(uint64_t cursor, uint64_t until, bool include_output, const Filter& filter) const;

 private:
  void FillOutput(uint64_t job_key, std::string_view event, std::string* filled) const;

  const Journal* const journal_;
  const Spool* const spool_;
};

}  // namespace brood
