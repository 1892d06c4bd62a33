// SPDX-License-Identifier: Apache-2.0
//
// The calls that a FanOut is made of; seen by its own sources only.
#pragma once

#include <absl/synchronization/mutex.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "controller/client/fan_out.h"
#include "controller/client/stubs.h"

namespace brood {

// Counts the calls that the transport still holds; outlives both sides.
struct FanOut::OpenCalls {
  absl::Mutex mutex;
  int count ABSL_GUARDED_BY(mutex) = 0;

  void Add() {
    absl::MutexLock lock(&mutex);
    ++count;
  }
  void Remove() {
    absl::MutexLock lock(&mutex);
    --count;
  }
  void AwaitNone() {
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(
        +[](int* left) { return *left == 0; }, &count));
  }
};

// What the two kinds of call have in common: reactions come in the transport's
// threads and are posted to the loop, where they find the call alive or do nothing.
template <typename Reactor, typename Self>
class FanOut::LoopCall : public Reactor, public std::enable_shared_from_this<Self> {
 public:
  LoopCall(FanOut& owner, size_t host)
      : owner_(owner), host_(host), open_calls_(owner.open_calls_) {
    open_calls_->Add();
  }
  void TryCancel() { context_.TryCancel(); }

 protected:
  void Post(std::function<void(Self&)> work) {
    owner_.loop_.Post([weak = this->weak_from_this(), work = std::move(work)] {
      if (auto self = weak.lock()) work(*self);
    });
  }
  // Counts the call as over. OnDone takes it first of all: once its last work is posted, the loop
  // may do that work and delete the call.
  class Release {
   public:
    explicit Release(const LoopCall& call) : open_calls_(call.open_calls_) {}
    ~Release() { open_calls_->Remove(); }
    Release(const Release&) = delete;
    Release& operator=(const Release&) = delete;

   private:
    const std::shared_ptr<OpenCalls> open_calls_;
  };

  FanOut& owner_;
  const size_t host_;
  const std::shared_ptr<OpenCalls> open_calls_;
  grpc::ClientContext context_;
};

// One RunJobs call of a host.
class FanOut::HostCall final
    : public LoopCall<grpc::ClientBidiReactor<v1::RunJobsRequest, v1::RunJobsResponse>, HostCall> {
 public:
  HostCall(FanOut& owner, size_t host, Connection& to) : LoopCall(owner, host), connection_(to) {}

  void Start() {
    connection_.stubs().jobs.async()->RunJobs(&context_, this);
    // Writes are started by the loop, outside the reactions: the call must not end meanwhile.
    AddHold();
    reading_ = true;
    StartRead(&response_);
    StartCall();
  }
  // Nobody listens any more, and the loop may not run again: let the call end by itself.
  void Abandon() {
    TryCancel();
    End();
  }
  void ReadOn() {
    if (reading_ || ended_) return;
    reading_ = true;
    StartRead(&response_);
  }
  void Send(RunResume* resume) {
    if (writing_ || ended_ || closed_) return;
    if (resume->NextRequest(&request_)) {
      writing_ = true;
      StartWrite(&request_);
    } else if (resume->AllSent()) {
      closed_ = true;
      StartWritesDone();
    }
  }

 private:
  void OnReadInitialMetadataDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  void End() {
    if (!std::exchange(ended_, true)) RemoveHold();
  }

  Connection& connection_;
  v1::RunJobsRequest request_;
  v1::RunJobsResponse response_;
  // For the loop's thread.
  bool reading_ = false;
  bool writing_ = false;
  bool closed_ = false;
  bool ended_ = false;
};

// One host's run, over all its calls. For the loop's thread.
class FanOut::HostRun final : public std::enable_shared_from_this<HostRun> {
 public:
  HostRun(FanOut& owner, size_t host, Connection& to);
  ~HostRun();

  void Open();
  void Submit(std::vector<v1::JobSubmission> jobs);
  void Close();
  void ReadOn();
  void Abandon();
  void BreakOff();
  const RunResume& resume() const { return resume_; }

  // From the present call.
  void OnConnected();
  void OnWritten() { call_->Send(&resume_); }
  void OnResponse(v1::RunJobsResponse* response);
  void OnCallEnd(const Status& status, bool from_agent);

  Connection& connection;

 private:
  // Before another call. It may take long: not in the loop's thread.
  void Prepare();
  void Over(const Status& status);

  FanOut& owner_;
  const size_t host_;
  RunResume resume_;
  Retries retries_;
  std::shared_ptr<HostCall> call_;  // none while it waits for the next try
  std::optional<EventLoop::TimerId> retry_;
  std::thread preparing_;
  bool broken_off_ = false;
  bool over_ = false;
};

}  // namespace brood
