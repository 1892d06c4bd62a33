// SPDX-License-Identifier: Apache-2.0
//
// What the slots of a parent tell, while it lives and after.
#include <string>
#include <vector>

#include "agent/core/spec_frame.h"
#include "agent/host/note_facts.h"
#include "agent/host/parent_link.h"

namespace brood {

CallFacts ParentLink::ReadCall(uint64_t job_key, uint32_t slot) const {
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

std::vector<StartSlot> ParentLink::ReadStarts() const {
  return slots_ == nullptr ? std::vector<StartSlot>() : slots_->ReadStarts();
}

uint64_t ParentLink::CulpritJobKey() const {
  LastWords words;
  return SlotReader(directory_).ReadLastWords(&words) ? words.culprit_job_key : 0;
}

}  // namespace brood
