// SPDX-License-Identifier: Apache-2.0
//
// Lies, for tests: an experiment whose claim cannot fail shows nothing. Programs that are built
// with BROOD_LIES tell the one that the variable BROOD_LIE names;
// tests/controller/experiment/lies_test.py shows that each fails its claim. Those programs are
// never installed; in all others Lies is false when they are compiled, and nothing of it is left.
#pragma once

#ifdef BROOD_LIES
#include <cstdlib>
#include <string_view>
#endif

namespace brood {

enum class Lie {
  kForkAsThread,         // a forked call runs as a thread, and is told as a fork
  kSharedCell,           // a private cell is one mapping with the forks
  kInventedReparenting,  // a fork is said to have been adopted
  kThreadsOneByOne,      // threads are ended one by one before main returns
  kMadeUpStatus,         // an orphan's exit status is made up
};

#ifdef BROOD_LIES
inline bool Lies(Lie lie) {
  constexpr const char* kNames[] = {"fork-as-thread", "shared-cell", "invented-reparenting",
                                    "threads-one-by-one", "made-up-status"};
  const char* const told = std::getenv("BROOD_LIE");
  return told != nullptr && std::string_view(told) == kNames[static_cast<int>(lie)];
}
#else
constexpr bool Lies(Lie /*unused*/) { return false; }
#endif

}  // namespace brood
