// SPDX-License-Identifier: Apache-2.0
//
// The MUST-follow table: which event may come where in a job's or a parent's life. docs/events.md
// has the same table in words; a test compares the two, and event_order.h checks streams against
// it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "brood/v1/event.pb.h"

namespace brood {

// Where a job (or a parent, kUnborn to kEnded) is, as its events have told so far. Bits: a rule
// names several.
enum Phase : uint32_t {
  kUnborn = 1,     // no event yet
  kWaiting = 2,    // RECEIVED
  kStarting = 4,   // STARTING
  kRunning = 8,    // STARTED, or PARENT_STARTED
  kEnding = 16,    // PARENT_ENDING
  kEnded = 32,     // one of the ends, or PARENT_ENDED
  kClosed = 64,    // OUTPUT_CLOSED
  kReleased = 128  // CLEANED
};

// Whose event it is.
enum class Subject : uint8_t { kJob, kParent, kReader };

// How often it may come in one life.
enum class Times : uint8_t { kOnce, kAtMostOnce, kAnyNumber };

struct EventRule {
  v1::Event::PayloadCase payload;
  const char* name;  // in capitals, as the docs write it
  Subject subject;
  uint32_t may_come;  // phases, or-ed
  Times times;
  uint32_t then;  // the phase after it; 0: as before
};

// One rule per payload, in the order of event.proto.
std::span<const EventRule> EventRules();

// The rule of a payload; null if it has none (PAYLOAD_NOT_SET).
const EventRule* FindEventRule(v1::Event::PayloadCase payload);

// "waiting, starting": the phases in words.
std::string PhaseWords(uint32_t phases);

// The rule as a row of the table in docs/events.md.
std::string EventRuleRow(const EventRule& rule);

}  // namespace brood
