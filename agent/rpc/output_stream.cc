// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/output_stream.h"

#include <algorithm>
#include <string>
#include <utility>

#include "agent/rpc/known_job.h"
#include "agent/rpc/limits.h"
#include "common/job/text.h"
#include "common/rpc/grpc_status.h"

namespace brood {

OutputChunks* OutputChunks::Start(Agent* agent, StreamWatch* streams,
                                  grpc::CallbackServerContext* context,
                                  const v1::ReadOutputRequest& request) {
  std::shared_ptr<OutputChunks> chunks(new OutputChunks(agent));
  chunks->self_ = chunks;
  chunks->write_ = streams->Add(context, [weak = std::weak_ptr<OutputChunks>(chunks)] {
    if (const std::shared_ptr<OutputChunks> self = weak.lock()) self->OnSlow();
  });
  chunks->StartSendInitialMetadata();
  if (const Status failed = chunks->Begin(request)) {
    chunks->End(ToGrpcStatus(*failed));
  } else {
    chunks->Pump();
  }
  return chunks.get();
}

Status OutputChunks::Begin(const v1::ReadOutputRequest& request) {
  if (request.stream() != v1::STREAM_STDOUT && request.stream() != v1::STREAM_STDERR) {
    return FieldError("stream", "say STREAM_STDOUT or STREAM_STDERR");
  }
  stream_ = request.stream() == v1::STREAM_STDOUT ? OutputStream::kStdout : OutputStream::kStderr;
  offset_ = request.offset();
  follow_ = request.follow();
  const Result<KnownJob> known = agent_->sequencer()->Look(
      [&](const Core& core) { return FindJob(*agent_, core, request.job_id(), "job_id"); });
  if (!known) return known.error();
  if (known->job == nullptr) return OutputNotKept(*agent_, request.job_id());
  job_key_ = known->job_key;
  if (follow_) agent_->feed()->AddForJob(job_key_, shared_from_this());
  return Ok();
}

OutputChunks::Course OutputChunks::FindCourse() const {
  return agent_->sequencer()->Look([this](const Core& core) {
    const CoreJob* const job = core.Find(job_key_);
    // Forgotten since, with its output: there may have been more.
    if (job == nullptr) return Course{true, offset_ + 1};
    const v1::Job& view = job->view;
    return Course{job->output_closed,
                  stream_ == OutputStream::kStdout ? view.stdout_bytes() : view.stderr_bytes()};
  });
}

void OutputChunks::Pump() {
  for (;;) {
    {
      const absl::MutexLock lock(&mutex_);
      again_ = true;
      if (pumping_ || writing_ || ended_) return;
      pumping_ = true;
      again_ = false;
    }
    // Asked before the read: what was there when it closed is then read. Only what was told of is:
    // behind that may stand what a job writes beyond its limit.
    const Course course = FindCourse();
    const bool closed = !follow_ || course.closed;
    bool some = false;
    Status failed;
    if (offset_ < course.end) {
      Result<Spool::Piece> piece = agent_->spool()->Read(
          job_key_, stream_, offset_, std::min<uint64_t>(kOutputChunkBytes, course.end - offset_));
      if (!piece) {
        failed = piece.error();
      } else if (piece->bytes.empty() && piece->offset == offset_) {
        failed = Error{ErrorCode::kNotFound, "", "", ""};
      } else {
        offset_ = piece->offset;
        some = !piece->bytes.empty();
        response_.set_offset(offset_);
        offset_ += piece->bytes.size();
        response_.set_bytes(std::move(piece->bytes));
      }
      if (failed && failed->code == ErrorCode::kNotFound) {
        failed = Error{ErrorCode::kOutOfRange, "NO_LONGER_KEPT",
                       "offset: of the output of this job, bytes " + std::to_string(offset_) +
                           " to " + std::to_string(course.end) + " are no longer kept",
                       "offset"};
      }
    }
    const bool skipped = !some && !failed && offset_ < course.end;
    {
      const absl::MutexLock lock(&mutex_);
      pumping_ = false;
      if (ended_) return;
      if (some) {
        writing_ = true;
      } else if (!closed && !again_ && !failed && !skipped) {
        return;
      }
    }
    if (some) {
      write_->Begin();
      return StartWrite(&response_);
    }
    if (failed) return End(ToGrpcStatus(*failed));
    if (closed && !skipped) return End(grpc::Status::OK);
  }
}

void OutputChunks::OnWriteDone(bool ok) {
  write_->End();
  {
    const absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
  if (ok) return Pump();
  End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
}

void OutputChunks::OnCancel() {
  End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
}

void OutputChunks::OnSlow() {
  uint64_t offset = 0;
  {
    const absl::MutexLock lock(&mutex_);
    if (!writing_ || ended_) return;
    ended_ = true;
    offset = offset_;  // nobody pumps while a write is under way
  }
  Finish(SlowReader("offset", std::to_string(offset)));
}

void OutputChunks::End(const grpc::Status& status) {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(ended_, true)) return;
  }
  Finish(status);
}

void OutputChunks::OnDone() {
  write_->Close();
  agent_->feed()->Remove(this, {job_key_});
  self_.reset();
}

}  // namespace brood
