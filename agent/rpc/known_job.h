// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "agent/core/core.h"
#include "agent/host/agent.h"
#include "brood/v1/job.pb.h"
#include "common/base/error.h"

namespace brood {

// A job by its id: one that the core has, or one that it has forgotten and whose events are kept.
struct KnownJob {
  uint64_t job_key = 0;
  uint64_t first_cursor = 0;
  const CoreJob* job = nullptr;  // null: forgotten. Valid under the core's lock.
};

Error NoSuchJob(const Agent& agent, const std::string& job_id, const std::string& field);

// Under the core's lock. NOT_FOUND if the id is not known; OUT_OF_RANGE, with how the job ended, if
// its events are no longer kept. `field` is that of the request.
Result<KnownJob> FindJob(const Agent& agent, const Core& core, const std::string& job_id,
                         const std::string& field);

// A forgotten job, folded of its events, and the cursor of the last one. Reads the journal, at the
// worst all of it; not under the core's lock.
struct FoldedJob {
  v1::Job job;
  uint64_t last_cursor = 0;
};
Result<FoldedJob> FoldForgotten(const Agent& agent, const KnownJob& known,
                                const std::string& job_id, const std::string& field);

// The job's output is no longer kept.
Error OutputNotKept(const Agent& agent, const std::string& job_id);

}  // namespace brood
