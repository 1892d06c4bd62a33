// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "agent/core/core_job.h"
#include "agent/host/agent.h"
#include "brood/v1/job_service.pb.h"

namespace brood {

// A job that is there now: a new one, one that was there, or one that has been forgotten but whose
// events are still kept.
struct AcceptedJob {
  uint64_t job_key = 0;
  uint64_t first_cursor = 0;
  uint64_t last_cursor = 0;  // of its last event so far, or later
  bool existed = false;
  bool cleaned = false;
};

// Validates the submissions and brings them to the core, one step each, in
// order; `answers` gets one for each. `accepted` is called under the core's lock
// for every such job; `done` once all are in the journal, and on the disk if one of them is
// durable. Where they could not be brought there the answers say why, and `done` is called with it.
// The caller then commits.
void SubmitAll(Agent* agent, const google::protobuf::RepeatedPtrField<v1::JobSubmission>& jobs,
               google::protobuf::RepeatedPtrField<v1::SubmittedJob>* answers,
               const std::function<void(const AcceptedJob& job)>& accepted, Sequencer::Done done);

}  // namespace brood
