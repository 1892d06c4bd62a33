// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/hazards.h"

#include <cstdint>
#include <cstdio>

namespace brood {
namespace {

// The lock of a stream of the C library; taken for a moment where it is free.
bool IsHeld(FILE* stream) {
  if (ftrylockfile(stream) != 0) return true;
  funlockfile(stream);
  return false;
}

}  // namespace

std::vector<HazardNote> FindHazards(CallThreads* threads, const KnownMutexes& mutexes) {
  std::vector<HazardNote> hazards;
  // Without another thread nobody holds anything.
  if (threads->count() == 0) return hazards;
  const std::vector<KnownMutexes::Held> all_held = mutexes.held();
  // Any of them may be the one that holds it; without a mutex, more than are told of are not asked.
  const std::vector<CallThreads::Living> living =
      threads->FindLiving(all_held.empty() ? kHazardsMax : SIZE_MAX);
  for (const KnownMutexes::Held& held : all_held) {
    HazardNote hazard{HazardKind::kMutex, held.name, held.tid, 0};
    for (const CallThreads::Living& thread : living) {
      if (thread.tid == held.tid) hazard.job_key = thread.job_key;
    }
    hazards.push_back(std::move(hazard));
  }
  const struct {
    FILE* stream;
    const char* name;
  } streams[] = {{stdin, "stdin"}, {stdout, "stdout"}, {stderr, "stderr"}};
  for (const auto& [stream, name] : streams) {
    if (IsHeld(stream)) hazards.push_back(HazardNote{HazardKind::kStream, name, 0, 0});
  }
  for (const CallThreads::Living& thread : living) {
    if (hazards.size() >= kHazardsMax) break;
    hazards.push_back(HazardNote{HazardKind::kThread, "", thread.tid, thread.job_key});
  }
  if (hazards.size() > kHazardsMax) hazards.resize(kHazardsMax);
  return hazards;
}

std::string HazardWords(const HazardNote& hazard, CallThreads* threads) {
  const std::string job = hazard.job_key != 0 ? threads->NameJob(hazard.job_key) : "";
  const std::string by = job.empty() ? " is held" : " is held by " + job;
  switch (hazard.kind) {
    case HazardKind::kMutex:
      return "the mutex '" + hazard.name + "'" + by;
    case HazardKind::kStream:
      return "the lock of " + hazard.name + by;
    case HazardKind::kThread:
      break;
  }
  return (job.empty() ? std::string("another job") : job) +
         " runs as a thread, and what it holds is not known";
}

}  // namespace brood
