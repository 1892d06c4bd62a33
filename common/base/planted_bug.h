// SPDX-License-Identifier: Apache-2.0
//
// Bugs that tests plant: a suite that finds none of them would find no such bug either. Programs
// that are built with BROOD_FAILPOINTS, which are never installed, have the one that the variable
// BROOD_PLANTED_BUG names; tests/planted/planted_bugs_test.py shows which check finds each. In all
// others Planted is false when they are compiled, and nothing of it is left.
#pragma once

#ifdef BROOD_FAILPOINTS
#include <cstdlib>
#include <string_view>
#endif

namespace brood {

enum class Bug {
  kNoDedupe,              // a job that is submitted twice is two jobs
  kAckBeforeJournal,      // acknowledged, then written
  kAckBeforeSync,         // a durable job is acknowledged before it is on the disk
  kTellBeforeJournal,     // a parent is told, then it is written
  kQueueOrderLost,        // what waited when the agent died is started last come first
  kEnvironmentLost,       // and without its environment
  kEndToldTwice,          // a fact that comes again is an event again
  kCleanedTooEarly,       // CLEANED before OUTPUT_CLOSED
  kTimeOutAnew,           // a time-out counts anew with each agent
  kRunsAgain,             // a job that had begun when its parent ended is started again
  kUnknownAsZero,         // an unknown exit status is 0
  kEndOfFileIsDeath,      // an agent that closes its connection is taken for gone for good
  kNoTornTailCut,         // bytes of a write that was broken off are kept
  kNoEpochAtCut,          // a cut of the journal is not told by another epoch
  kNoChecksum,            // a record that is damaged is believed
  kRetentionOffByOne,     // the oldest event is said to be one later
  kPushOnly,              // a reader gets what comes, not what it missed
  kTokenOffByOne,         // it resumes one event too far
  kLostWakeUp,            // a reader that is told in rounds is not told at the end of one
  kOutputOffsetOffByOne,  // an agent that goes on leaves a byte between
  kFixedDrain,            // output is read up to a fixed time after the end, of 0 s
  kNoteUnchecked,         // a note that is torn is believed
  kOutboxFreedEarly,      // notes are removed as they are read
  kChildSpeaks,           // a task's own fork notes in its parent's name
  kNoStartSlot,           // a child does not ask whether it may still begin
  kRevokesTheBegun,       // and an agent revokes who has begun
  kReapBeforeNote,        // a process is reaped, then its end is noted
  kWaitForAnyChild,       // the parent takes the status of children that are not jobs
  kKillByPid,             // a signal goes to whoever has the pid now
  kOlderAgentObeyed,      // a newer agent does not fence off the older one
  kStockListener,         // gRPC's own listener
};

#ifdef BROOD_FAILPOINTS
inline bool Planted(Bug bug) {
  constexpr const char* kNames[] = {
      "no-dedupe",        "ack-before-journal", "ack-before-sync",    "tell-before-journal",
      "queue-order-lost", "environment-lost",   "end-told-twice",     "cleaned-too-early",
      "time-out-anew",    "runs-again",         "unknown-as-zero",    "end-of-file-is-death",
      "no-torn-tail-cut", "no-epoch-at-cut",    "no-checksum",        "retention-off-by-one",
      "push-only",        "token-off-by-one",   "lost-wake-up",       "output-offset-off-by-one",
      "fixed-drain",      "note-unchecked",     "outbox-freed-early", "child-speaks",
      "no-start-slot",    "revokes-the-begun",  "reap-before-note",   "wait-for-any-child",
      "kill-by-pid",      "older-agent-obeyed", "stock-listener"};
  const char* const planted = std::getenv("BROOD_PLANTED_BUG");
  return planted != nullptr && std::string_view(planted) == kNames[static_cast<int>(bug)];
}
#else
constexpr bool Planted(Bug /*unused*/) { return false; }
#endif

}  // namespace brood
