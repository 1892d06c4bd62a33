// SPDX-License-Identifier: Apache-2.0
#include "controller/client/memory_stream.h"

#include <utility>

#include "controller/client/resuming_read.h"

namespace brood {

struct MemoryStream::Call {
  Call(Connection& connection, v1::WatchMemoryRequest asked, ResumeOptions options)
      : host(connection.address().name),
        request(std::move(asked)),
        read(connection, std::move(options), [this, &connection](grpc::ClientContext* context) {
          return connection.stubs().parents.WatchMemory(context, request);
        }) {}
  const std::string host;
  v1::WatchMemoryRequest request;  // with the token of what was read
  ResumingRead<v1::WatchMemoryResponse> read;
  int calls = 1;
};

MemoryStream::MemoryStream(Connection& connection, v1::WatchMemoryRequest request,
                           ResumeOptions options)
    : call_(std::make_unique<Call>(connection, std::move(request), std::move(options))) {}

MemoryStream::~MemoryStream() = default;

bool MemoryStream::NextBatch(v1::WatchMemoryResponse* batch) {
  if (!call_->read.Read(batch)) return false;
  const bool first = call_->request.resume_token().empty();
  call_->request.set_resume_token(batch->resume_token());
  if (std::exchange(call_->calls, call_->read.calls()) == call_->read.calls() || first) return true;
  // The greeting of another call: from here on no write is missed, before it some may have been.
  v1::Event gap;
  gap.set_host(call_->host);
  gap.set_observer(v1::OBSERVER_CONTROLLER);
  gap.set_evidence(v1::EVIDENCE_SEEN);
  gap.mutable_gap()->set_why("the connection was lost, and with it the watch for a while");
  *batch->add_events() = gap;
  return true;
}

void MemoryStream::BreakOff() { call_->read.BreakOff(); }

Status MemoryStream::Finish() { return call_->read.end(); }

}  // namespace brood
