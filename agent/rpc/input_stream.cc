// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/input_stream.h"

#include <utility>

#include "agent/rpc/known_job.h"
#include "agent/rpc/limits.h"
#include "common/job/text.h"
#include "common/rpc/grpc_status.h"

namespace brood {
namespace {

Error EndedError(const std::string& job_id) {
  return Error{ErrorCode::kFailedPrecondition, "NOT_RUNNING", "job '" + job_id + "' has ended", ""};
}

}  // namespace

InputChunks* InputChunks::Start(Agent* agent, v1::WriteInputResponse* response) {
  std::shared_ptr<InputChunks> chunks(new InputChunks(agent, response));
  chunks->self_ = chunks;
  chunks->StartRead(&chunks->request_);
  return chunks.get();
}

Status InputChunks::FindJob() {
  return agent_->sequencer()->Look([this](const Core& core) -> Status {
    const CoreJob* const job = core.Find(request_.job_id());
    if (job == nullptr) return NoSuchJob(*agent_, request_.job_id(), "job_id");
    if (!job->view.spec().stdin_stream()) {
      return Error{ErrorCode::kFailedPrecondition, "NO_INPUT",
                   "job '" + request_.job_id() +
                       "' reads /dev/null; submit it with stdin_stream (brood run -i)",
                   ""};
    }
    if (job->ended) return EndedError(request_.job_id());
    job_id_ = request_.job_id();
    job_key_ = job->key;
    return Ok();
  });
}

void InputChunks::OnReadDone(bool ok) {
  if (!ok) {
    if (job_key_ == 0) {
      return End(
          ToGrpcStatus(FieldError("job_id", "no message named a job; name one in the first")));
    }
    agent_->inputs()->Close(job_key_);
    return EndWell();
  }
  const bool first = job_key_ == 0;
  if (first) {
    if (const Status failed = FindJob()) return End(ToGrpcStatus(*failed));
  }
  if (request_.bytes().size() > kOutputChunkBytes) {
    return End(ToGrpcStatus(FieldError("bytes", "over 64 KiB; send smaller chunks")));
  }
  const size_t size = request_.bytes().size();
  agent_->inputs()->Write(
      job_key_, std::move(*request_.mutable_bytes()),
      [self = shared_from_this(), size](JobInputs::Taken taken) { self->OnWritten(size, taken); });
  // The client may have nothing more to say for long, and would not learn of the end.
  if (first) {
    agent_->inputs()->TellEnd(job_key_, [weak = weak_from_this()] {
      if (const std::shared_ptr<InputChunks> self = weak.lock()) self->EndWell();
    });
  }
}

void InputChunks::OnWritten(size_t size, JobInputs::Taken taken) {
  if (taken == JobInputs::Taken::kEnded) return End(ToGrpcStatus(EndedError(job_id_)));
  if (taken == JobInputs::Taken::kClosed) return EndWell();
  bool ended = false;
  {
    const absl::MutexLock lock(&mutex_);
    written_ += size;
    ended = ended_;
  }
  if (!ended) StartRead(&request_);
}

void InputChunks::OnCancel() {
  // A client that breaks off leaves the job at the end of its input.
  if (job_key_ != 0) agent_->inputs()->Close(job_key_);
  End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
}

void InputChunks::EndWell() {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(ended_, true)) return;
    response_->set_written_bytes(written_);
  }
  Finish(grpc::Status::OK);
}

void InputChunks::End(const grpc::Status& status) {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(ended_, true)) return;
  }
  Finish(status);
}

}  // namespace brood
