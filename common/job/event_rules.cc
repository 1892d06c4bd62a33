// SPDX-License-Identifier: Apache-2.0
#include "common/job/event_rules.h"

#include <array>
#include <utility>

namespace brood {
namespace {

using Event = v1::Event;

constexpr uint32_t kBeforeEnd = kWaiting | kStarting | kRunning;
constexpr uint32_t kAlive = kStarting | kRunning;
constexpr uint32_t kAfterStart = kRunning | kEnded | kClosed;
constexpr uint32_t kAnyTime = kBeforeEnd | kEnded | kClosed;

// clang-format off
constexpr std::array kRules = {
  EventRule{Event::kReceived, "RECEIVED", Subject::kJob, kUnborn, Times::kOnce, kWaiting},
  EventRule{Event::kQueued, "QUEUED", Subject::kJob, kWaiting, Times::kAnyNumber, 0},
  // A second STARTING is a new attempt: the one before is known to have run nothing.
  EventRule{Event::kStarting, "STARTING", Subject::kJob, kWaiting | kStarting, Times::kAnyNumber, kStarting},
  EventRule{Event::kStarted, "STARTED", Subject::kJob, kStarting, Times::kAtMostOnce, kRunning},
  EventRule{Event::kOutput, "OUTPUT", Subject::kJob, kRunning | kEnded, Times::kAnyNumber, 0},
  EventRule{Event::kProgress, "PROGRESS", Subject::kJob, kRunning, Times::kAnyNumber, 0},
  EventRule{Event::kMemory, "MEMORY", Subject::kJob, kRunning, Times::kAnyNumber, 0},
  EventRule{Event::kMemoryPages, "MEMORY_PAGES", Subject::kJob, kRunning, Times::kAnyNumber, 0},
  // A tree outlives its leader, so these go on after the end.
  EventRule{Event::kDescendantSeen, "DESCENDANT_SEEN", Subject::kJob, kAfterStart, Times::kAnyNumber, 0},
  EventRule{Event::kDescendantExited, "DESCENDANT_EXITED", Subject::kJob, kAfterStart, Times::kAnyNumber, 0},
  EventRule{Event::kReparented, "REPARENTED", Subject::kJob, kRunning, Times::kAnyNumber, 0},
  EventRule{Event::kSignalled, "SIGNALLED", Subject::kJob, kAfterStart, Times::kAnyNumber, 0},
  EventRule{Event::kStopped, "STOPPED", Subject::kJob, kRunning, Times::kAnyNumber, 0},
  EventRule{Event::kContinued, "CONTINUED", Subject::kJob, kRunning, Times::kAnyNumber, 0},
  EventRule{Event::kCancelRequested, "CANCEL_REQUESTED", Subject::kJob, kBeforeEnd, Times::kAnyNumber, 0},
  EventRule{Event::kCancelPending, "CANCEL_PENDING", Subject::kJob, kRunning, Times::kAnyNumber, 0},
  EventRule{Event::kTimedOut, "TIMED_OUT", Subject::kJob, kAlive, Times::kAtMostOnce, 0},
  EventRule{Event::kParentStarted, "PARENT_STARTED", Subject::kParent, kUnborn, Times::kOnce, kRunning},
  EventRule{Event::kParentEnding, "PARENT_ENDING", Subject::kParent, kRunning, Times::kAtMostOnce, kEnding},
  EventRule{Event::kParentEnded, "PARENT_ENDED", Subject::kParent, kRunning | kEnding, Times::kAtMostOnce, kEnded},
  EventRule{Event::kAgentLost, "AGENT_LOST", Subject::kJob, kAnyTime, Times::kAnyNumber, 0},
  EventRule{Event::kReattached, "REATTACHED", Subject::kJob, kAnyTime, Times::kAnyNumber, 0},
  EventRule{Event::kExited, "EXITED", Subject::kJob, kRunning, Times::kAtMostOnce, kEnded},
  EventRule{Event::kThreadEnded, "THREAD_ENDED", Subject::kJob, kRunning, Times::kAtMostOnce, kEnded},
  EventRule{Event::kFailedToStart, "FAILED_TO_START", Subject::kJob, kWaiting | kStarting, Times::kAtMostOnce, kEnded},
  EventRule{Event::kCancelled, "CANCELLED", Subject::kJob, kWaiting | kStarting, Times::kAtMostOnce, kEnded},
  EventRule{Event::kLost, "LOST", Subject::kJob, kBeforeEnd, Times::kAtMostOnce, kEnded},
  EventRule{Event::kOutputClosed, "OUTPUT_CLOSED", Subject::kJob, kEnded, Times::kOnce, kClosed},
  EventRule{Event::kSurvivors, "SURVIVORS", Subject::kJob, kClosed, Times::kAtMostOnce, 0},
  EventRule{Event::kCleaned, "CLEANED", Subject::kJob, kClosed, Times::kOnce, kReleased},
  EventRule{Event::kGap, "GAP", Subject::kReader, 0, Times::kAnyNumber, 0},
  EventRule{Event::kStuckSuspected, "STUCK_SUSPECTED", Subject::kJob, kRunning, Times::kAtMostOnce, 0},
  EventRule{Event::kOutputLimit, "OUTPUT_LIMIT", Subject::kJob, kRunning, Times::kAtMostOnce, 0},
};
// clang-format on

constexpr std::array<std::pair<uint32_t, const char*>, 8> kPhaseNames = {{{kUnborn, "new"},
                                                                          {kWaiting, "waiting"},
                                                                          {kStarting, "starting"},
                                                                          {kRunning, "running"},
                                                                          {kEnding, "ending"},
                                                                          {kEnded, "ended"},
                                                                          {kClosed, "closed"},
                                                                          {kReleased, "cleaned"}}};

const char* SubjectWord(Subject subject) {
  switch (subject) {
    case Subject::kJob:
      return "job";
    case Subject::kParent:
      return "parent";
    case Subject::kReader:
      return "reader";
  }
  return "";
}

const char* TimesWord(Times times) {
  switch (times) {
    case Times::kOnce:
      return "once";
    case Times::kAtMostOnce:
      return "at most once";
    case Times::kAnyNumber:
      return "any number";
  }
  return "";
}

}  // namespace

std::span<const EventRule> EventRules() { return kRules; }

const EventRule* FindEventRule(v1::Event::PayloadCase payload) {
  for (const EventRule& rule : kRules) {
    if (rule.payload == payload) return &rule;
  }
  return nullptr;
}

std::string PhaseWords(uint32_t phases) {
  std::string out;
  for (const auto& [phase, name] : kPhaseNames) {
    if ((phases & phase) == 0) continue;
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

std::string EventRuleRow(const EventRule& rule) {
  const std::string may_come = rule.may_come == 0 ? "anywhere" : PhaseWords(rule.may_come);
  const std::string then = rule.then == 0 ? "as before" : PhaseWords(rule.then);
  return std::string("| ") + rule.name + " | " + SubjectWord(rule.subject) + " | " + may_come +
         " | " + TimesWord(rule.times) + " | " + then + " |";
}

}  // namespace brood
