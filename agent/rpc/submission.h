// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "agent/core/core_job.h"
#include "agent/host/agent.h"
#include "brood/v1/job_service.pb.h"

namespace brood {

// Validates the submissions and brings them to the core, one step each, in
// order; `answers` gets one for each. `accepted` is called under the core's lock
// for every job that is there now; `done` once all are in the journal, and on the
// disk if one of them is durable. Where they could not be brought there the
// answers say why, and `done` is called with it. The caller then commits.
void SubmitAll(Agent* agent, const google::protobuf::RepeatedPtrField<v1::JobSubmission>& jobs,
               google::protobuf::RepeatedPtrField<v1::SubmittedJob>* answers,
               const std::function<void(const CoreJob& job, bool existed)>& accepted,
               Sequencer::Done done);

}  // namespace brood
