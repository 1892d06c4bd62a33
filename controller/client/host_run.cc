// SPDX-License-Identifier: Apache-2.0
//
// One host's part of a FanOut.
#include <utility>

#include "common/base/clock.h"
#include "common/rpc/greeting.h"
#include "controller/client/fan_out_calls.h"

namespace brood {

void FanOut::HostCall::OnReadInitialMetadataDone(bool ok) {
  if (!ok || context_.GetServerInitialMetadata().count(kGreetingKey) == 0) return;
  Post([](HostCall& self) { self.owner_.hosts_[self.host_]->OnConnected(); });
}

void FanOut::HostCall::OnWriteDone(bool ok) {
  Post([ok](HostCall& self) {
    self.writing_ = false;
    if (ok) self.owner_.hosts_[self.host_]->OnWritten();
  });
}

void FanOut::HostCall::OnReadDone(bool ok) {
  Post([ok](HostCall& self) {
    self.reading_ = false;
    if (!ok) return self.End();
    self.owner_.hosts_[self.host_]->OnResponse(&self.response_);
  });
}

void FanOut::HostCall::OnDone(const grpc::Status& status) {
  const Release at_the_end(*this);
  Status end = status.ok() ? Ok() : Status(CallError(connection_, status));
  Post([end = std::move(end), from_agent = !status.error_details().empty()](HostCall& self) {
    self.owner_.hosts_[self.host_]->OnCallEnd(end, from_agent);
  });
}

FanOut::HostRun::HostRun(FanOut& owner, size_t host, Connection& to)
    : connection(to),
      owner_(owner),
      host_(host),
      resume_(owner.include_output_),
      retries_(owner.policy_) {}

FanOut::HostRun::~HostRun() {
  if (retry_) owner_.loop_.Cancel(*retry_);
  if (preparing_.joinable()) preparing_.join();
}

void FanOut::HostRun::Open() {
  call_ = std::make_shared<HostCall>(owner_, host_, connection);
  call_->Start();
  call_->Send(&resume_);
}

void FanOut::HostRun::Submit(std::vector<v1::JobSubmission> jobs) {
  for (v1::JobSubmission& job : jobs) resume_.Submit(std::move(job));
  if (call_) call_->Send(&resume_);
}

void FanOut::HostRun::Close() {
  resume_.Close();
  if (call_) call_->Send(&resume_);
}

void FanOut::HostRun::ReadOn() {
  if (call_) call_->ReadOn();
}

void FanOut::HostRun::Abandon() {
  if (call_) call_->Abandon();
}

void FanOut::HostRun::BreakOff() {
  broken_off_ = true;
  if (call_) return call_->TryCancel();
  if (retry_) owner_.loop_.Cancel(*std::exchange(retry_, std::nullopt));
  if (over_) return;
  // Not from here: who breaks off does not expect to be called meanwhile.
  owner_.loop_.Post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Over(BrokenOff("run"));
  });
}

void FanOut::HostRun::OnConnected() {
  if (retries_.OnConnected(BootTimeNanos())) owner_.observer_.OnLinkBack(host_);
}

void FanOut::HostRun::OnResponse(v1::RunJobsResponse* response) {
  OnConnected();
  resume_.OnResponse(response);
  if (response->accepted_size() + response->events_size() > 0) retries_.OnProgress();
  for (const v1::SubmittedJob& job : response->accepted()) {
    owner_.observer_.OnSubmitted(host_, job);
  }
  for (const v1::Event& event : response->events()) owner_.observer_.OnEvent(host_, event);
  if (!owner_.paused_) ReadOn();
}

void FanOut::HostRun::OnCallEnd(const Status& status, bool from_agent) {
  call_.reset();
  if (broken_off_) return Over(BrokenOff("run"));
  Status end = status;
  if (!end && !resume_.Complete()) {
    end = EndedEarly(connection.address().target);
  }
  if (!end) return Over(Ok());
  const Retries::Next next = retries_.OnEnd(*end, from_agent, BootTimeNanos(), owner_.random_());
  if (next.announce) owner_.observer_.OnLinkLost(host_, *end);
  if (!next.pause_ns) return Over(end);
  resume_.OnBroken();
  retry_ = owner_.loop_.At(BootTime{BootTimeNanos() + *next.pause_ns}, [this] { Prepare(); });
}

void FanOut::HostRun::Prepare() {
  retry_.reset();
  if (preparing_.joinable()) preparing_.join();
  preparing_ = std::thread([this, weak = weak_from_this(), &loop = owner_.loop_] {
    PrepareRetry(connection);
    loop.Post([weak] {
      const auto self = weak.lock();
      if (self && !self->over_ && !self->broken_off_) self->Open();
    });
  });
}

void FanOut::HostRun::Over(const Status& status) {
  if (!std::exchange(over_, true)) owner_.observer_.OnHostEnd(host_, status);
}

}  // namespace brood
