// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/submission.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/rpc/limits.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/job/job_id.h"
#include "common/job/spec_validation.h"

namespace brood {
namespace {

// The same spec gives the same bytes: maps in order.
uint32_t DigestOf(const v1::JobSpec& spec) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    spec.SerializeToCodedStream(&coded);
  }
  return Crc32c(bytes.data(), bytes.size());
}

// A submission that may be decided on. Its answer stays where it is.
struct Checked {
  const v1::JobSubmission* submission;
  uint32_t digest;
  v1::SubmittedJob* answer;
};

void Refuse(const Error& error, v1::SubmittedJob* answer) {
  answer->set_error_code(static_cast<int32_t>(error.code));
  answer->set_error_reason(error.reason);
  answer->set_error_message(error.message);
  answer->set_error_field(error.field);
}

// They may be there, now or later; that they stay cannot be promised.
void RefuseRest(const Error& failed,
                google::protobuf::RepeatedPtrField<v1::SubmittedJob>* answers) {
  Error error = failed;
  error.code = ErrorCode::kUnavailable;
  error.message = "the job may be there, but that it is kept cannot be said: " + failed.message +
                  "; submit it again under the same id";
  for (v1::SubmittedJob& answer : *answers) {
    if (answer.error_code() == 0) Refuse(error, &answer);
  }
}

}  // namespace

void SubmitAll(Agent* agent, const google::protobuf::RepeatedPtrField<v1::JobSubmission>& jobs,
               google::protobuf::RepeatedPtrField<v1::SubmittedJob>* answers,
               const std::function<void(const AcceptedJob& job)>& accepted, Sequencer::Done done) {
  Sequencer* const sequencer = agent->sequencer();
  sequencer->CheckRoom();
  // A hold is short, but not so short that each job's is waited for by the other threads.
  std::vector<Checked> hold;
  hold.reserve(kSubmissionsPerHold);
  const auto submit = [&] {
    sequencer->Step([&](Core& core, Instant now, Batch* batch) {
      for (const Checked& job : hold) {
        uint64_t job_key = 0;
        *job.answer = core.Submit(now, *job.submission, job.digest, &job_key, batch);
        if (job_key == 0) continue;
        const bool existed = job.answer->already_existed();
        if (const CoreJob* const known = core.Find(job_key)) {
          accepted(AcceptedJob{job_key, known->first_cursor, known->last_cursor, existed,
                               known->view.cleaned()});
          continue;
        }
        const KnownId* const old = core.FindForgotten(job.submission->job_id());
        if (old != nullptr && old->first_cursor >= agent->journal()->oldest())
          accepted(
              AcceptedJob{job_key, old->first_cursor, agent->journal()->head(), existed, true});
      }
    });
    hold.clear();
  };
  auto kept = Sequencer::Kept::kWritten;
  for (const v1::JobSubmission& job : jobs) {
    if (job.spec().durable()) kept = Sequencer::Kept::kOnDisk;
    v1::SubmittedJob* const answer = answers->Add();
    answer->set_job_id(job.job_id());
    Status refused = ValidateJobId("job_id", job.job_id());
    if (!refused) refused = ValidateJobSpec(job.spec());
    if (refused) {
      Refuse(*refused, answer);
      continue;
    }
    hold.push_back(Checked{&job, DigestOf(job.spec()), answer});
    if (hold.size() == kSubmissionsPerHold) submit();
  }
  if (!hold.empty()) submit();
  Failpoint("submit.decided");
  sequencer->Step([](Core&, Instant, Batch*) {}, kept,
                  [answers, done = std::move(done)](const Status& failed) {
                    if (failed) RefuseRest(*failed, answers);
                    done(failed);
                  });
}

}  // namespace brood
