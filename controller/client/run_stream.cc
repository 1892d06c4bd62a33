// SPDX-License-Identifier: Apache-2.0
#include "controller/client/run_stream.h"

#include <iterator>
#include <utility>

#include "controller/client/stubs.h"

namespace brood {

struct RunStream::Call {
  explicit Call(Connection& to, bool output) : connection(to), include_output(output) {
    stream = connection.stubs().jobs.RunJobs(&context);
  }
  Connection& connection;
  const bool include_output;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::RunJobsRequest, v1::RunJobsResponse>> stream;
  bool closed = false;
  bool finished = false;
};

RunStream::RunStream(Connection& connection, bool include_output)
    : call_(std::make_unique<Call>(connection, include_output)) {}

RunStream::~RunStream() {
  if (call_->finished) return;
  call_->context.TryCancel();
  call_->stream->Finish();
}

void RunStream::FillRequest(std::deque<v1::JobSubmission>* jobs,
                            google::protobuf::RepeatedPtrField<v1::JobSubmission>* request) {
  size_t bytes = 0;
  while (!jobs->empty() && static_cast<size_t>(request->size()) < kBatchMax) {
    bytes += jobs->front().ByteSizeLong();
    if (request->size() > 0 && bytes > kBatchBytesMax) return;
    *request->Add() = std::move(jobs->front());
    jobs->pop_front();
  }
}

Status RunStream::Submit(std::vector<v1::JobSubmission> jobs) {
  std::deque<v1::JobSubmission> left(std::make_move_iterator(jobs.begin()),
                                     std::make_move_iterator(jobs.end()));
  while (!left.empty()) {
    v1::RunJobsRequest request;
    request.set_include_output(call_->include_output);
    FillRequest(&left, request.mutable_jobs());
    if (!call_->stream->Write(request)) {
      return Error{ErrorCode::kUnavailable, "CALL_ENDED",
                   "the call to '" + call_->connection.address().target +
                       "' has ended; no more jobs can be submitted on it",
                   ""};
    }
  }
  return Ok();
}

void RunStream::CloseSubmissions() {
  if (!call_->closed) call_->stream->WritesDone();
  call_->closed = true;
}

bool RunStream::NextBatch(v1::RunJobsResponse* batch) { return call_->stream->Read(batch); }

std::optional<RunStream::Item> RunStream::Next() {
  while (true) {
    if (next_accepted_ < batch_.accepted_size()) return *batch_.mutable_accepted(next_accepted_++);
    if (next_event_ < batch_.events_size()) return std::move(*batch_.mutable_events(next_event_++));
    next_accepted_ = next_event_ = 0;
    if (!NextBatch(&batch_)) {
      batch_.Clear();
      return std::nullopt;
    }
  }
}

void RunStream::BreakOff() { call_->context.TryCancel(); }

Status RunStream::Finish() {
  const grpc::Status status = call_->stream->Finish();
  call_->finished = true;
  if (status.ok()) return Ok();
  return CallError(call_->connection.address(), status);
}

}  // namespace brood
