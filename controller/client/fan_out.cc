// SPDX-License-Identifier: Apache-2.0
#include "controller/client/fan_out.h"

#include <algorithm>
#include <utility>

#include "controller/client/fan_out_calls.h"

namespace brood {
namespace {

// As many ids as one CancelJobs takes.
constexpr size_t kCancelMax = 1024;

}  // namespace

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
  void OnDone(const grpc::Status& status) override {
    const Release at_the_end(*this);
    if (!status.ok() && status.error_details().empty()) {
      Post([status](InputCall& self) {
        const HostAddress& address = self.owner_.hosts_[self.host_]->connection.address();
        self.owner_.observer_.OnInputLost(self.host_, CallError(address, status));
      });
    }
  }

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

FanOut::FanOut(EventLoop& loop, Observer& observer, bool include_output, ResumePolicy policy)
    : loop_(loop),
      observer_(observer),
      include_output_(include_output),
      policy_(policy),
      random_(std::random_device{}()),
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
  hosts_.push_back(std::make_shared<HostRun>(*this, hosts_.size(), connection));
  hosts_.back()->Open();
  return hosts_.size() - 1;
}

void FanOut::Submit(size_t host, std::vector<v1::JobSubmission> jobs) {
  hosts_[host]->Submit(std::move(jobs));
}

void FanOut::CloseSubmissions(size_t host) { hosts_[host]->Close(); }

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
  const std::weak_ptr<HostRun> alive = hosts_[host];
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

std::string FanOut::resume_token(size_t host) const {
  return hosts_[host]->resume().resume_token();
}

void FanOut::BreakOff() {
  for (const auto& host : hosts_) host->BreakOff();
  // A call that is not being read would not learn of its end.
  Resume();
}

}  // namespace brood
