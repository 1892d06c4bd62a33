// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a submission: a spec is taken, or refused with the field that is at fault.
#include "brood/v1/job_service.pb.h"
#include "common/job/call_arguments.h"
#include "common/job/job_id.h"
#include "common/job/mode_choice.h"
#include "common/job/spec_validation.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace brood;
  v1::JobSubmission submission;
  if (!submission.ParseFromArray(data, static_cast<int>(size))) return 0;
  if (const Status refused = ValidateJobId("job_id", submission.job_id()))
    fuzz::Require(refused->field == "job_id", "a refused id names its field");
  const v1::JobSpec& spec = submission.spec();
  if (const Status refused = ValidateJobSpec(spec)) {
    fuzz::Require(refused->code == ErrorCode::kInvalidArgument, "a refusal is INVALID_ARGUMENT");
    fuzz::Require(refused->field.rfind("spec", 0) == 0, "a refusal names a field of the spec");
    fuzz::Require(refused->message.size() < 4'096, "a refusal is short");
    return 0;
  }
  const ModeChoice choice = ChooseMode(spec, TaskTraits(), false, v1::MODE_FORK);
  fuzz::Require(choice.mode == v1::MODE_FORK || choice.mode == v1::MODE_THREAD,
                "a mode is chosen for whatever is taken");
  fuzz::Require(!choice.reason.empty(), "and a reason is given");
  if (!spec.has_call()) return 0;
  v1::Task task;
  task.set_name(spec.call().task());
  for (int type = v1::ValueType_MIN; type <= v1::ValueType_MAX; ++type) {
    v1::TaskParameter* const parameter = task.add_parameters();
    parameter->set_name("p");
    parameter->set_type(static_cast<v1::ValueType>(type));
    parameter->set_optional(true);
  }
  if (const auto bound = BindArguments(task, spec.call()); !bound)
    fuzz::Require(bound.error().code == ErrorCode::kInvalidArgument, "so is one of an argument");
  return 0;
}
