// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "brood/v1/event.pb.h"
#include "common/base/error.h"

namespace brood {

// Checks one stream of events against every rule of docs/events.md: the table of event_rules.h, the
// numbers (seq, cursor, attempt, output offsets) and what the ends may say. Used by every test that
// sees a stream, of any reader: the whole journal, or some jobs of it. After a GAP each job and
// parent may have lost a part of its events once.
class EventOrder {
 public:
  // Takes the next event. INTERNAL, reason EVENT_ORDER, with a sentence that names the event and
  // the rule it breaks; the stream is then not to be checked any further.
  Status Check(const v1::Event& event);

  // The stream is over: every job in it must have been CLEANED.
  Status Finish() const;

  // Every cursor must follow the one before without a gap: for readers of a whole journal.
  void ExpectEveryCursor() { every_cursor_ = true; }

  // The stream began at a resume token: what each job and parent had before it is not in it.
  void StartsInTheMiddle() { ++gaps_; }

 private:
  struct Life {
    uint64_t seq = 0;
    uint32_t phase = 1;       // Phase, or-ed where a GAP hid which
    uint64_t gaps_taken = 0;  // GAPs of the stream that this life has made use of
    bool whole = true;        // no event is missing
    std::set<int> seen;       // payloads that came
    uint32_t attempt = 0;
    v1::Mode mode = v1::MODE_UNSPECIFIED;
    uint64_t output_ends[2] = {0, 0};
    bool ring = false;  // its output is kept in rings
  };
  using ParentKey = std::pair<std::string, uint64_t>;

  Status CheckCursor(const v1::Event& event);
  Status CheckLife(const v1::Event& event, Life* life);
  Status CheckJob(const v1::Event& event, Life* life);

  bool every_cursor_ = false;
  bool first_ = true;
  uint64_t cursor_ = 0;
  uint64_t gaps_ = 0;
  bool gap_just_now_ = false;
  std::map<std::string, Life> jobs_;
  std::map<ParentKey, Life> parents_;
};

}  // namespace brood
