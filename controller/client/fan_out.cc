// SPDX-License-Identifier: Apache-2.0
#include "controller/client/fan_out.h"

#include <absl/synchronization/mutex.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "controller/client/run_stream.h"
#include "controller/client/stubs.h"

namespace brood {
namespace {

// As many ids as one CancelJobs takes.
constexpr size_t kCancelMax = 1024;

}  // namespace

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
  // The last thing that a call does; it may be gone right after.
  void Release() {
    const std::shared_ptr<OpenCalls> open_calls = open_calls_;
    open_calls->Remove();
  }

  FanOut& owner_;
  const size_t host_;
  const std::shared_ptr<OpenCalls> open_calls_;
  grpc::ClientContext context_;
};

// One host's RunJobs call.
class FanOut::HostCall final
    : public LoopCall<grpc::ClientBidiReactor<v1::RunJobsRequest, v1::RunJobsResponse>, HostCall> {
 public:
  HostCall(FanOut& owner, size_t host, Connection& to) : LoopCall(owner, host), connection(to) {}

  void Start() {
    connection.stubs().jobs.async()->RunJobs(&context_, this);
    // Writes are started by the loop, outside the reactions: the call must not end meanwhile.
    AddHold();
    reading_ = true;
    StartRead(&response_);
    StartCall();
  }

  void Queue(std::vector<v1::JobSubmission> jobs) {
    for (v1::JobSubmission& job : jobs) queue_.push_back(std::move(job));
    Send();
  }
  void CloseSubmissions() {
    closing_ = true;
    Send();
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

  Connection& connection;

 private:
  void Send() {
    if (writing_ || ended_) return;
    if (queue_.empty()) {
      if (closing_ && !std::exchange(closed_, true)) StartWritesDone();
      return;
    }
    request_.Clear();
    request_.set_include_output(owner_.include_output_);
    RunStream::FillRequest(&queue_, request_.mutable_jobs());
    writing_ = true;
    StartWrite(&request_);
  }

  void OnWriteDone(bool ok) override {
    Post([ok](HostCall& self) {
      self.writing_ = false;
      if (ok) self.Send();
    });
  }

  void OnReadDone(bool ok) override {
    Post([ok](HostCall& self) { self.Deliver(ok); });
  }
  void Deliver(bool ok) {
    reading_ = false;
    if (!ok) {
      End();
      return;
    }
    for (const v1::SubmittedJob& job : response_.accepted()) {
      owner_.observer_.OnSubmitted(host_, job);
    }
    for (const v1::Event& event : response_.events()) owner_.observer_.OnEvent(host_, event);
    if (!owner_.paused_) ReadOn();
  }

  void OnDone(const grpc::Status& status) override {
    Status end = status.ok() ? Ok() : Status(CallError(connection.address(), status));
    Post([end = std::move(end)](HostCall& self) {
      self.owner_.observer_.OnHostEnd(self.host_, end);
    });
    Release();
  }

  void End() {
    if (!std::exchange(ended_, true)) RemoveHold();
  }

  v1::RunJobsRequest request_;
  v1::RunJobsResponse response_;
  // For the loop's thread.
  std::deque<v1::JobSubmission> queue_;
  bool reading_ = false;
  bool writing_ = false;
  bool closing_ = false;
  bool closed_ = false;
  bool ended_ = false;
};

// The input of one job.
class FanOut::InputCall final
    : public LoopCall<grpc::ClientWriteReactor<v1::WriteInputRequest>, InputCall> {
 public:
  InputCall(FanOut& owner, size_t host, const std::string& job_id) : LoopCall(owner, host) {
    request_.set_job_id(job_id);
  }

  void Start(Connection& connection) {
    connection.stubs().jobs.async()->WriteInput(&context_, &response_, this);
    AddHold();
    StartCall();
  }
  void Write(std::string_view bytes) {
    if (ended_) return;
    if (bytes.empty()) {
      // Without a first message the agent would not know whose input to close.
      if (!std::exchange(named_, true)) {
        StartWriteLast(&request_, grpc::WriteOptions());
      } else {
        StartWritesDone();
      }
      End();
      return;
    }
    if (named_) request_.clear_job_id();
    named_ = true;
    request_.set_bytes(bytes.data(), bytes.size());
    StartWrite(&request_);
  }
  void End() {
    if (!std::exchange(ended_, true)) RemoveHold();
  }

 private:
  void OnWriteDone(bool ok) override {
    Post([ok](InputCall& self) {
      if (!ok) self.End();
      self.owner_.observer_.OnInputTaken(self.host_, !self.ended_);
    });
  }
  void OnDone(const grpc::Status&) override { Release(); }

  v1::WriteInputRequest request_;
  v1::WriteInputResponse response_;
  // For the loop's thread.
  bool named_ = false;
  bool ended_ = false;
};

// One GetHost call.
struct FanOut::HostQuestion {
  grpc::ClientContext context;
  v1::GetHostRequest request;
  v1::GetHostResponse response;
};

FanOut::FanOut(EventLoop& loop, Observer& observer, bool include_output)
    : loop_(loop),
      observer_(observer),
      include_output_(include_output),
      open_calls_(std::make_shared<OpenCalls>()) {}

FanOut::~FanOut() {
  for (const auto& host : hosts_) host->Abandon();
  for (auto& [job, call] : inputs_) {
    call->TryCancel();
    call->End();
  }
  for (const auto& question : questions_) question->context.TryCancel();
  open_calls_->AwaitNone();
}

size_t FanOut::AddHost(Connection& connection) {
  hosts_.push_back(std::make_shared<HostCall>(*this, hosts_.size(), connection));
  hosts_.back()->Start();
  return hosts_.size() - 1;
}

void FanOut::Submit(size_t host, std::vector<v1::JobSubmission> jobs) {
  hosts_[host]->Queue(std::move(jobs));
}

void FanOut::CloseSubmissions(size_t host) { hosts_[host]->CloseSubmissions(); }

void FanOut::Pause() { paused_ = true; }

void FanOut::Resume() {
  paused_ = false;
  for (const auto& host : hosts_) host->ReadOn();
}

void FanOut::WriteInput(size_t host, const std::string& job_id, std::string_view bytes) {
  auto& call = inputs_[{host, job_id}];
  if (!call) {
    call = std::make_shared<InputCall>(*this, host, job_id);
    call->Start(hosts_[host]->connection);
  }
  call->Write(bytes);
}

void FanOut::AskHost(size_t host) {
  const auto question = std::make_shared<HostQuestion>();
  questions_.push_back(question);
  open_calls_->Add();
  const std::weak_ptr<HostCall> alive = hosts_[host];
  hosts_[host]->connection.stubs().hosts.async()->GetHost(
      &question->context, &question->request, &question->response,
      [this, host, alive, question, open_calls = open_calls_](const grpc::Status& status) {
        if (status.ok()) {
          loop_.Post([this, host, alive, question] {
            if (!alive.expired()) observer_.OnHost(host, question->response.host());
          });
        }
        open_calls->Remove();
      });
}

void FanOut::Cancel(size_t host, const std::vector<std::string>& job_ids) {
  for (size_t first = 0; first < job_ids.size(); first += kCancelMax) {
    v1::CancelJobsRequest request;
    request.set_by("client");
    for (size_t i = first; i < std::min(first + kCancelMax, job_ids.size()); ++i) {
      request.add_job_ids(job_ids[i]);
    }
    hosts_[host]->connection.StartCancelJobs(request, [](const Result<v1::CancelJobsResponse>&) {});
  }
}

void FanOut::BreakOff() {
  for (const auto& host : hosts_) host->TryCancel();
  // A call that is not being read would not learn of its end.
  Resume();
}

}  // namespace brood
