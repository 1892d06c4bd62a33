// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "agent/outbox/hazard_bytes.h"
#include "agent/parent/call_threads.h"
#include "agent/parent/known_mutexes.h"

namespace brood {

// What another thread of this process holds, or may hold, now: a copy that is made now finds
// it in a state that nobody can mend. At most kHazardsMax, locks that are seen to be held first.
// For the thread that forks, with the gate closed.
std::vector<HazardNote> FindHazards(CallThreads* threads, const KnownMutexes& mutexes);

// "the mutex 'demo.lock' is held by the job 'x'": the first of them, in words.
std::string HazardWords(const HazardNote& hazard, CallThreads* threads);

}  // namespace brood
