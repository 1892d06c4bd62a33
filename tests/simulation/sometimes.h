// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace brood::simulation {

// What must happen now and then over many seeds: else the simulation does not test what it claims
// to.
#define BROOD_SOMETIMES(X)                                                                  \
  X(kAgentKilled, "an agent is killed")                                                     \
  X(kAgentKilledInAppend, "an agent is killed while it writes the journal")                 \
  X(kTornBatch, "a batch is torn")                                                          \
  X(kAgentKilledBeforeEffects, "an agent is killed between journal and effects")            \
  X(kAgentKilledInRecovery, "an agent is killed before it serves")                          \
  X(kAgentHoldsOnFullDisk, "an agent holds what it cannot write")                           \
  X(kSynced, "the journal is synced for a durable job")                                     \
  X(kParentKilled, "a parent is killed")                                                    \
  X(kSupervisorKilled, "a supervisor is killed")                                            \
  X(kPairKilled, "two kinds of processes are killed at once")                               \
  X(kAllKilled, "all processes of brood are killed at once")                                \
  X(kPowerLost, "the power is lost")                                                        \
  X(kOtherBootEnded, "an agent ends what ran when the power was lost")                      \
  X(kRecordsForgotten, "a loss of power takes records")                                     \
  X(kDiskFull, "the disk is full")                                                          \
  X(kNoteHeld, "a note is held while the disk is full")                                     \
  X(kReplyLost, "a client loses an answer")                                                 \
  X(kRequestLost, "a client loses a request")                                               \
  X(kSubmittedTwice, "a job is submitted a second time")                                    \
  X(kWatcherResumes, "a watcher resumes")                                                   \
  X(kWatcherBeginsAnew, "a watcher is out of range and begins anew")                        \
  X(kCancelled, "a client cancels")                                                         \
  X(kSignalled, "a client signals")                                                         \
  X(kTimedOut, "a job times out")                                                           \
  X(kParentToldToEnd, "a parent is told to end")                                            \
  X(kMainThreadLeaves, "a parent's main thread leaves its threads behind")                  \
  X(kParentNotLetGo, "a parent ends because its supervisor died before it noted the start") \
  X(kAgentFenced, "an older agent is fenced off")                                           \
  X(kClaimRefused, "a child finds its slot revoked")                                        \
  X(kSlotsUsedUp, "all slots are taken")                                                    \
  X(kJobSentTwice, "a parent is sent a job it knows")                                       \
  X(kJobUnknownToParent, "a parent does not know a job that it was to be sent")             \
  X(kExecFails, "a program cannot be executed")                                             \
  X(kProcessCrashes, "a process crashes")                                                   \
  X(kThreadCrashes, "a thread crashes its parent")                                          \
  X(kDaemonLeft, "a job leaves a process behind")                                           \
  X(kOrphanWaitedFor, "a supervisor waits for an orphan")                                   \
  X(kStrangerWatched, "an agent watches a process that is nobody's child")                  \
  X(kStatusUnknown, "an exit status is unknown")                                            \
  X(kStreamsReopened, "an agent finds streams again in a job's descriptors")                \
  X(kStreamsLost, "streams are gone with all that read them")                               \
  X(kLifeAdopted, "an agent adopts a life of a parent")                                     \
  X(kStartFoundInSlot, "a start is known from its slot only")                               \
  X(kStartedAnew, "a job is started anew, as its attempt ran nothing")                      \
  X(kSupervisorReplaced, "a supervisor is replaced")                                        \
  X(kOlderNotesRead, "notes of a supervisor that has died are read")                        \
  X(kPidComesAgain, "a pid comes again")                                                    \
  X(kStopped, "a job is stopped and goes on")

enum class Sometimes : size_t {
#define X(name, words) name,
  BROOD_SOMETIMES(X)
#undef X
      kEnd
};

inline constexpr const char* kSometimesWords[] = {
#define X(name, words) words,
    BROOD_SOMETIMES(X)
#undef X
};

// How often each has happened.
class Coverage {
 public:
  void Count(Sometimes what) { ++counts_[static_cast<size_t>(what)]; }
  static constexpr size_t size() { return static_cast<size_t>(Sometimes::kEnd); }
  uint64_t operator[](size_t i) const { return counts_[i]; }

 private:
  std::array<uint64_t, static_cast<size_t>(Sometimes::kEnd)> counts_ = {};
};

}  // namespace brood::simulation
