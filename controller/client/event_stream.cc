// SPDX-License-Identifier: Apache-2.0
#include "controller/client/event_stream.h"

#include <utility>

#include "controller/client/resuming_read.h"

namespace brood {

struct EventStream::Call {
  Call(Connection& connection, v1::WatchEventsRequest asked, ResumeOptions options)
      : request(std::move(asked)),
        read(connection, std::move(options), [this, &connection](grpc::ClientContext* context) {
          return connection.stubs().jobs.WatchEvents(context, request);
        }) {}
  v1::WatchEventsRequest request;  // with the token of what was read
  ResumingRead<v1::WatchEventsResponse> read;
};

EventStream::EventStream(Connection& connection, v1::WatchEventsRequest request,
                         ResumeOptions options)
    : call_(std::make_unique<Call>(connection, std::move(request), std::move(options))) {}

EventStream::~EventStream() = default;

bool EventStream::NextBatch(v1::WatchEventsResponse* batch) {
  if (!call_->read.Read(batch)) return false;
  call_->request.set_resume_token(batch->resume_token());
  return true;
}

const std::string& EventStream::resume_token() const { return call_->request.resume_token(); }

void EventStream::BreakOff() { call_->read.BreakOff(); }

Status EventStream::Finish() { return call_->read.end(); }

}  // namespace brood
