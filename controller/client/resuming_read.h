// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/synchronization/mutex.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <random>
#include <utility>

#include "common/base/clock.h"
#include "common/rpc/greeting.h"
#include "controller/client/resume_options.h"
#include "controller/client/stubs.h"

namespace brood {

// Reads one server stream and opens it again when it breaks; seen by the sources of this folder
// only. For one thread, but for BreakOff.
template <typename Response>
class ResumingRead {
 public:
  using Stream = std::unique_ptr<grpc::ClientReader<Response>>;
  // Makes the call, from where it was.
  using Open = std::function<Stream(grpc::ClientContext* context)>;

  ResumingRead(Connection& connection, ResumeOptions options, Open open)
      : connection_(connection),
        options_(std::move(options)),
        open_(std::move(open)),
        retries_(options_.policy),
        random_(std::random_device{}()) {
    Start();
  }
  ~ResumingRead() {
    if (!stream_) return;
    BreakOff();
    (void)stream_->Finish();
  }
  ResumingRead(const ResumingRead&) = delete;
  ResumingRead& operator=(const ResumingRead&) = delete;

  // The next message; false at the end. `calls()` has grown if it is of another call.
  bool Read(Response* response) {
    while (stream_) {
      if (!std::exchange(waited_, true)) {
        // There may be no message for long; that the agent has taken the call is known at once.
        stream_->WaitForInitialMetadata();
        if (present_->GetServerInitialMetadata().count(kGreetingKey) > 0) OnConnected();
      }
      if (stream_->Read(response)) {
        OnConnected();
        retries_.OnProgress();
        return true;
      }
      if (!Again()) return false;
    }
    return false;
  }

  int calls() const { return calls_; }

  // Any thread.
  void BreakOff() {
    const absl::MutexLock lock(&mutex_);
    broken_off_ = true;
    context_->TryCancel();
  }
  // Once Read has returned false.
  const Status& end() const { return end_; }

 private:
  void OnConnected() {
    if (retries_.OnConnected(BootTimeNanos()) && options_.back) options_.back();
  }

  void Start() {
    auto context = std::make_unique<grpc::ClientContext>();
    present_ = context.get();
    stream_ = open_(context.get());
    waited_ = false;
    ++calls_;
    const absl::MutexLock lock(&mutex_);
    context_ = std::move(context);
    if (broken_off_) context_->TryCancel();
  }

  // The call has ended: whether there is another one now.
  bool Again() {
    const grpc::Status status = stream_->Finish();
    stream_.reset();
    end_ = Ok();
    if (status.ok()) return false;
    end_ = CallError(connection_, status);
    const Retries::Next next =
        retries_.OnEnd(*end_, !status.error_details().empty(), BootTimeNanos(), random_());
    if (next.announce && options_.lost) options_.lost(*end_);
    if (!next.pause_ns) return false;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&broken_off_), absl::Nanoseconds(*next.pause_ns));
      if (broken_off_) {
        end_ = BrokenOff("stream");
        return false;
      }
    }
    PrepareRetry(connection_);
    Start();
    return true;
  }

  Connection& connection_;
  const ResumeOptions options_;
  const Open open_;
  Retries retries_;
  std::mt19937_64 random_;
  Stream stream_;
  grpc::ClientContext* present_ = nullptr;
  bool waited_ = false;
  int calls_ = 0;
  Status end_;

  absl::Mutex mutex_;
  // Made anew for every call; BreakOff needs the present one.
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);
  bool broken_off_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace brood
