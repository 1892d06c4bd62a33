// SPDX-License-Identifier: Apache-2.0
//
// What the slots of a parent tell, while it lives and after.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/spec_frame.h"
#include "agent/host/note_facts.h"
#include "agent/host/parent_link.h"
#include "common/base/process_life.h"

namespace brood {

ParentLink::CallFacts ParentLink::ReadCall(uint64_t job_key, uint32_t slot) const {
  CallFacts facts;
  CallArea area;
  if (slots_ == nullptr || !slots_->ReadArea(slot, &area) || area.job_key != job_key) return facts;
  facts.progress = ProgressOf(area);
  std::string value;
  if (area.result == 0 || !slots_->ReadValue(slot, area, &value)) return facts;
  CallResult& result = facts.result.emplace();
  if (area.result == kCallReturned) result.returned = ValueOfBytes(area.value_kind, value);
  if (area.result == kCallThrew) result.threw = value;
  result.stopped = area.result == kCallStopped;
  return facts;
}

std::optional<ParentLink::Start> ParentLink::FindStart(const OrphanFact& process) const {
  const std::vector<StartSlot> starts = ReadStarts();
  const auto found = std::find_if(starts.begin(), starts.end(), [&process](const StartSlot& start) {
    if (start.claim != kClaimedByChild || start.pid != process.pid) return false;
    if (process.job_key != 0) return start.job_key == process.job_key;
    return LivedAt(process.start_ns, process.end_ns, start.start_ns);
  });
  if (found == starts.end()) return std::nullopt;
  return Start{static_cast<uint32_t>(found - starts.begin()), *found};
}

std::vector<StartSlot> ParentLink::ReadStarts() const {
  return slots_ == nullptr ? std::vector<StartSlot>() : slots_->ReadStarts();
}

uint64_t ParentLink::CulpritJobKey() const {
  LastWords words;
  return SlotReader(directory_).ReadLastWords(&words) ? words.culprit_job_key : 0;
}

}  // namespace brood
