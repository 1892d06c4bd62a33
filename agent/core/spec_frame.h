// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "agent/core/core_job.h"
#include "brood/internal/v1/frames.pb.h"
#include "brood/v1/value.pb.h"

namespace brood {

// The one place that knows both the promise's words for a job and the frames'.
// `journal`: the id by which this agent's jobs are told from those of others on the machine, see
// process_tree.h.
void FillStartFrame(const CoreJob& job, const std::string& host, const std::string& journal,
                    internal::v1::StartJob* frame);
void FillFrameValue(const v1::Value& value, internal::v1::Value* frame);
v1::Value ValueOfFrame(const internal::v1::Value& frame);

// The value whose bytes stand in a note or a call area (agent/outbox/value_bytes.h),
// of that kind (brood.v1.ValueType). What does not fit gives a null value.
v1::Value ValueOfBytes(uint32_t kind, std::string_view bytes);

}  // namespace brood
