// SPDX-License-Identifier: Apache-2.0
#include "controller/client/event_stream.h"

#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <algorithm>
#include <utility>

#include "controller/client/stubs.h"

namespace brood {
namespace {

// Between two tries to reach an agent that went away: it is back within a second
// if it was restarted, and a longer wait than 1 s would be felt.
constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);

}  // namespace

struct EventStream::Call {
  absl::Mutex mutex;
  // Made anew for every try; BreakOff needs the current one.
  std::unique_ptr<grpc::ClientContext> context ABSL_GUARDED_BY(mutex);
  bool broken_off ABSL_GUARDED_BY(mutex) = false;
  // For the reading thread only.
  std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>> stream;
  Status end;
};

EventStream::EventStream(Connection& connection, v1::WatchEventsRequest request,
                         std::chrono::milliseconds patience)
    : connection_(connection),
      request_(std::move(request)),
      patience_(patience),
      call_(std::make_unique<Call>()) {
  Open();
}

EventStream::~EventStream() {
  if (!call_->stream) return;
  BreakOff();
  call_->stream->Finish();
}

void EventStream::Open() {
  auto context = std::make_unique<grpc::ClientContext>();
  call_->stream = connection_.stubs().jobs.WatchEvents(context.get(), request_);
  absl::MutexLock lock(&call_->mutex);
  call_->context = std::move(context);
  if (call_->broken_off) call_->context->TryCancel();
}

bool EventStream::NextBatch(v1::WatchEventsResponse* batch) {
  absl::Time give_up = absl::InfiniteFuture();
  absl::Duration pause = kFirstPause;
  while (call_->stream) {
    if (call_->stream->Read(batch)) {
      request_.set_resume_token(batch->resume_token());
      return true;
    }
    const grpc::Status status = call_->stream->Finish();
    call_->stream.reset();
    call_->end = status.ok() ? Ok() : Status(CallError(connection_.address(), status));
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE || !request_.follow()) return false;
    if (give_up == absl::InfiniteFuture()) give_up = absl::Now() + absl::FromChrono(patience_);
    {
      absl::MutexLock lock(&call_->mutex);
      call_->mutex.AwaitWithDeadline(absl::Condition(&call_->broken_off),
                                     std::min(absl::Now() + pause, give_up));
      if (call_->broken_off || absl::Now() >= give_up) return false;
    }
    pause = std::min(pause * 2, kLongestPause);
    Open();
  }
  return false;
}

void EventStream::BreakOff() {
  absl::MutexLock lock(&call_->mutex);
  call_->broken_off = true;
  call_->context->TryCancel();
}

Status EventStream::Finish() { return call_->end; }

}  // namespace brood
