// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/job_service.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "agent/core/proto_time.h"
#include "agent/rpc/input_stream.h"
#include "agent/rpc/known_job.h"
#include "agent/rpc/limits.h"
#include "agent/rpc/output_stream.h"
#include "agent/rpc/run_stream.h"
#include "agent/rpc/submission.h"
#include "agent/rpc/watch_stream.h"
#include "common/base/failpoint.h"
#include "common/job/job_id.h"
#include "common/job/text.h"
#include "common/rpc/grpc_status.h"

namespace brood {
namespace {

constexpr int64_t kGraceMaxNanos = int64_t{3'600} * kNanosPerSecond;
constexpr size_t kByBytesMax = 128;
constexpr int kSignalMax = 64;

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

Status CheckIds(int count) {
  if (count > 0 && count <= kJobIdsPerRequestMax) return Ok();
  return FieldError(
      "job_ids", std::to_string(count) + " ids; name 1 to " + std::to_string(kJobIdsPerRequestMax));
}

void FillAnswer(const std::string& id, const Status& status, v1::JobAnswer* answer) {
  answer->set_job_id(id);
  if (!status) return;
  answer->set_error_code(static_cast<int32_t>(status->code));
  answer->set_error_message(status->message);
  answer->set_error_reason(status->reason);
}

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* JobService::RunJobs(
    grpc::CallbackServerContext* context) {
  return RunStream::Start(agent_, streams_, context);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* JobService::WatchEvents(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return WatchStream::Start(agent_, streams_, context, *request);
}

grpc::ServerReadReactor<v1::WriteInputRequest>* JobService::WriteInput(
    grpc::CallbackServerContext*, v1::WriteInputResponse* response) {
  return InputChunks::Start(agent_, response);
}

grpc::ServerWriteReactor<v1::ReadOutputResponse>* JobService::ReadOutput(
    grpc::CallbackServerContext* context, const v1::ReadOutputRequest* request) {
  return OutputChunks::Start(agent_, streams_, context, *request);
}

grpc::ServerUnaryReactor* JobService::SubmitJobs(grpc::CallbackServerContext* context,
                                                 const v1::SubmitJobsRequest* request,
                                                 v1::SubmitJobsResponse* response) {
  if (request->jobs_size() == 0 || request->jobs_size() > kJobsPerRequestMax) {
    return Answer(context,
                  FieldError("jobs", std::to_string(request->jobs_size()) + " jobs; send 1 to " +
                                         std::to_string(kJobsPerRequestMax)));
  }
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  SubmitAll(
      agent_, request->jobs(), response->mutable_accepted(), [](const AcceptedJob&) {},
      [reactor](const Status&) { reactor->Finish(grpc::Status::OK); });
  agent_->sequencer()->Commit();
  return reactor;
}

grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context,
                                             const v1::GetJobRequest* request,
                                             v1::GetJobResponse* response) {
  const Result<KnownJob> known = agent_->sequencer()->Look([&](const Core& core) {
    Result<KnownJob> job = FindJob(*agent_, core, request->job_id(), "job_id");
    if (job && job->job != nullptr) *response->mutable_job() = job->job->view;
    return job;
  });
  if (!known) return Answer(context, known.error());
  if (known->job != nullptr) return Answer(context, Ok());
  Result<FoldedJob> folded = FoldForgotten(*agent_, *known, request->job_id(), "job_id");
  if (!folded) return Answer(context, folded.error());
  response->mutable_job()->Swap(&folded->job);
  return Answer(context, Ok());
}

grpc::ServerUnaryReactor* JobService::ListJobs(grpc::CallbackServerContext* context,
                                               const v1::ListJobsRequest* request,
                                               v1::ListJobsResponse* response) {
  uint64_t before = UINT64_MAX;
  if (!request->page_token().empty() && !absl::SimpleAtoi(request->page_token(), &before)) {
    return Answer(context,
                  FieldError("page_token", "this is no page token; take one that an answer gave"));
  }
  if (request->page_size() < 0) {
    return Answer(context, FieldError("page_size", "it is negative; take 0 to 1000"));
  }
  if (!v1::JobState_IsValid(request->state())) {
    return Answer(context,
                  FieldError("state", std::to_string(request->state()) + " is no state of a job"));
  }
  if (!request->run_id().empty()) {
    if (const Status bad = ValidateJobId("run_id", request->run_id())) return Answer(context, bad);
  }
  const int size =
      request->page_size() == 0 ? kListPageDefault : std::min(request->page_size(), kListPageMax);
  agent_->sequencer()->Look([&](const Core& core) {
    size_t bytes = 0;
    for (auto entry = core.jobs().rbegin(); entry != core.jobs().rend(); ++entry) {
      if (entry->first >= before) continue;
      const v1::Job& job = entry->second->view;
      if (!request->run_id().empty() && job.spec().run_id() != request->run_id()) continue;
      if (request->state() != v1::JOB_STATE_UNSPECIFIED && job.state() != request->state())
        continue;
      if (job.job_id().rfind(request->job_id_prefix(), 0) != 0) continue;
      if (response->jobs_size() == size || bytes > kListBytesMax) {
        // The next page begins below the last one given.
        response->set_next_page_token(std::to_string(entry->first + 1));
        return;
      }
      bytes += job.ByteSizeLong();
      *response->add_jobs() = job;
    }
  });
  return Answer(context, Ok());
}

grpc::ServerUnaryReactor* JobService::CancelJobs(grpc::CallbackServerContext* context,
                                                 const v1::CancelJobsRequest* request,
                                                 v1::CancelJobsResponse* response) {
  if (const Status bad = CheckIds(request->job_ids_size())) return Answer(context, bad);
  int64_t grace = -1;
  if (request->has_grace()) {
    // Seconds first: the product of a hostile value must not overflow.
    const int64_t seconds = request->grace().seconds();
    const int32_t nanos = request->grace().nanos();
    const bool whole = seconds >= 0 && seconds <= 3'600 && nanos >= 0 && nanos < kNanosPerSecond;
    grace = whole ? DurationNanos(request->grace()) : -1;
    if (grace < 0 || grace > kGraceMaxNanos)
      return Answer(context, FieldError("grace", "take 0 s to 1 hour"));
  }
  if (request->by().size() > kByBytesMax)
    return Answer(context, FieldError("by", "over 128 bytes"));
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  // A durable job that waits would be started after a loss of power, were its cancel lost with it.
  auto kept = Sequencer::Kept::kWritten;
  for (const std::string& id : request->job_ids()) {
    FillAnswer(id, agent_->sequencer()->Step([&](Core& core, Instant now, Batch* batch) {
      const CoreJob* const job = core.Find(id);
      if (job != nullptr && job->view.spec().durable()) kept = Sequencer::Kept::kOnDisk;
      return core.Cancel(now, id, grace, request->by(), batch);
    }),
               response->add_answers());
  }
  Failpoint("cancel.decided");
  agent_->sequencer()->Step([](Core&, Instant, Batch*) {}, kept,
                            [reactor](const Status& failed) {
                              // It is done once it can be written.
                              reactor->Finish(failed ? ToGrpcStatus(*failed) : grpc::Status::OK);
                            });
  agent_->sequencer()->Commit();
  return reactor;
}

grpc::ServerUnaryReactor* JobService::SignalJobs(grpc::CallbackServerContext* context,
                                                 const v1::SignalJobsRequest* request,
                                                 v1::SignalJobsResponse* response) {
  if (const Status bad = CheckIds(request->job_ids_size())) return Answer(context, bad);
  if (request->signal() < 1 || request->signal() > kSignalMax) {
    return Answer(context, FieldError("signal", std::to_string(request->signal()) +
                                                    " is no signal; take 1 to 64"));
  }
  for (const std::string& id : request->job_ids()) {
    FillAnswer(id, agent_->sequencer()->Step([&](Core& core, Instant now, Batch* batch) {
      return core.Signal(now, id, request->signal(), request->whole_group(), batch);
    }),
               response->add_answers());
  }
  agent_->sequencer()->Commit();
  return Answer(context, Ok());
}

}  // namespace brood
