// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/run_stream.h"

#include <algorithm>
#include <utility>

#include "agent/rpc/limits.h"
#include "agent/rpc/message_bytes.h"
#include "agent/rpc/submission.h"
#include "brood/v1/job_service.pb.h"
#include "common/rpc/grpc_status.h"

namespace brood {

RunStream* RunStream::Start(Agent* agent) {
  std::shared_ptr<RunStream> stream(new RunStream(agent));
  stream->self_ = stream;
  stream->StartRead(&stream->request_);
  return stream.get();
}

void RunStream::OnReadDone(bool ok) {
  if (!ok) {
    {
      const absl::MutexLock lock(&mutex_);
      read_closed_ = true;
    }
    Pump();
    return;
  }
  Submit();
}

void RunStream::Submit() {
  google::protobuf::Arena arena;
  auto& request = *google::protobuf::Arena::CreateMessage<v1::RunJobsRequest>(&arena);
  if (!ParseBuffer(request_, &request)) {
    return End(ToGrpcStatus(
        Error{ErrorCode::kInvalidArgument, "BAD_MESSAGE", "the request is no RunJobsRequest", ""}));
  }
  if (request.jobs_size() > kJobsPerRequestMax) {
    return End(ToGrpcStatus(FieldError("jobs", std::to_string(request.jobs_size()) +
                                                   " jobs in one request; send at most " +
                                                   std::to_string(kJobsPerRequestMax))));
  }
  const uint64_t head = agent_->journal()->head();
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(first_, false)) include_output_ = request.include_output();
    submitting_.insert(head);
  }
  auto news = std::make_shared<std::vector<AcceptedJob>>();
  auto response = std::make_shared<v1::RunJobsResponse>();
  const std::shared_ptr<RunStream> self = shared_from_this();
  SubmitAll(
      agent_, request.jobs(), response->mutable_accepted(),
      [&](const AcceptedJob& job) {
        news->push_back(job);
        agent_->feed()->AddForJob(job.job_key, self);
      },
      [self, news, response, head](const Status& failed) {
        // Nothing of jobs that were refused at last is shown.
        if (failed) {
          for (const AcceptedJob& one : std::exchange(*news, {}))
            self->agent_->feed()->RemoveFromJob(one.job_key, self.get());
        }
        bool ended = false;
        {
          const absl::MutexLock lock(&self->mutex_);
          ended = self->ended_;
          // Those with a durable job may be answered after later ones.
          self->submitting_.erase(self->submitting_.find(head));
          const uint64_t known =
              self->submitting_.empty() ? head : std::min(head, *self->submitting_.begin());
          self->accepted_.push_back(response->SerializeAsString());
          // Nothing between the old cursor and this one can be ours.
          if (self->jobs_.empty() && self->pasts_.empty())
            self->cursor_ = std::max(self->cursor_, known);
          for (const AcceptedJob& one : *news) {
            const uint64_t live_after = one.existed ? self->agent_->journal()->head() : head;
            if (one.existed)
              self->pasts_.push_back(
                  Past{one.job_key, one.first_cursor - 1, live_after, one.cleaned});
            self->jobs_.emplace(one.job_key, live_after);
          }
        }
        // OnDone may have been before that.
        if (ended) self->StopListening();
        self->Pump();
      });
  agent_->sequencer()->Commit();
  ReadOn();
}

void RunStream::ReadOn() {
  // A client that submits faster than the journal takes it, or that does not read its
  // answers, waits here: its answers wait in memory.
  bool more = false;
  {
    const absl::MutexLock lock(&mutex_);
    more = !ended_ && submitting_.size() + accepted_.size() < kAnswersWaitingMax;
    read_later_ = !more;
  }
  if (more) StartRead(&request_);
}

bool RunStream::Wants(uint64_t cursor, uint64_t job_key, int field) {
  const absl::MutexLock lock(&mutex_);
  const auto job = jobs_.find(job_key);
  if (job == jobs_.end() || cursor <= job->second) return false;
  if (field == v1::Event::kCleanedFieldNumber) Forget(job_key);
  return true;
}

void RunStream::Forget(uint64_t job_key) {
  jobs_.erase(job_key);
  agent_->feed()->RemoveFromJob(job_key, this);
}

std::string RunStream::NextMessage(Status* failed) {
  uint64_t cursor = 0;
  uint64_t until = UINT64_MAX;
  Past past;
  bool include_output = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (!accepted_.empty()) {
      std::string message = std::move(accepted_.front());
      accepted_.pop_front();
      return message;
    }
    if (!pasts_.empty()) past = pasts_.front();
    cursor = cursor_;
    if (!submitting_.empty()) until = *submitting_.begin();
    include_output = include_output_;
    if (jobs_.empty()) return {};
  }
  if (past.job_key != 0) {
    EventPage page = pages_.Read(past.after, past.until, include_output,
                                 [&](uint64_t, uint64_t job_key, int field, std::string_view) {
                                   if (job_key != past.job_key) return false;
                                   if (field == v1::Event::kCleanedFieldNumber) {
                                     const absl::MutexLock lock(&mutex_);
                                     Forget(job_key);
                                   }
                                   return true;
                                 });
    const absl::MutexLock lock(&mutex_);
    pasts_.front().after = page.last_cursor;
    if (page.at_head) {
      pasts_.pop_front();
      // Its last events may have gone while this was read.
      if (past.cleaned) Forget(past.job_key);
    }
    again_ = true;
    *failed = page.failed;
    return std::move(page.bytes);
  }
  for (;;) {
    EventPage page = pages_.Read(cursor, until, include_output,
                                 [this](uint64_t at, uint64_t job_key, int field,
                                        std::string_view) { return Wants(at, job_key, field); });
    cursor = page.last_cursor;
    {
      const absl::MutexLock lock(&mutex_);
      cursor_ = cursor;
    }
    *failed = page.failed;
    if (page.count > 0 || page.at_head) return std::move(page.bytes);
  }
}

void RunStream::Pump() {
  for (;;) {
    {
      const absl::MutexLock lock(&mutex_);
      again_ = true;
      if (pumping_ || writing_ || ended_) return;
      pumping_ = true;
      again_ = false;
    }
    Status failed;
    const std::string message = NextMessage(&failed);
    if (failed && message.empty()) return End(ToGrpcStatus(*failed));
    bool finish = false;
    bool write = false;
    {
      const absl::MutexLock lock(&mutex_);
      pumping_ = false;
      if (ended_) return;
      if (!message.empty()) {
        writing_ = write = true;
        response_ = BufferOf(message);
      } else if (read_closed_ && jobs_.empty() && accepted_.empty() && submitting_.empty() &&
                 !again_) {
        finish = true;
      } else if (!again_) {
        return;
      }
    }
    if (write) return StartWrite(&response_);
    if (finish) return End(grpc::Status::OK);
  }
}

void RunStream::OnWriteDone(bool ok) {
  bool read = false;
  {
    const absl::MutexLock lock(&mutex_);
    writing_ = false;
    read = std::exchange(read_later_, false);
  }
  if (read) ReadOn();
  if (ok) return Pump();
  End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
}

void RunStream::OnCancel() { End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone")); }

void RunStream::End(const grpc::Status& status) {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(ended_, true)) return;
  }
  Finish(status);
}

void RunStream::StopListening() {
  std::vector<uint64_t> keys;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& job : jobs_) keys.push_back(job.first);
  }
  agent_->feed()->Remove(this, keys);
}

void RunStream::OnDone() {
  {
    const absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  StopListening();
  self_.reset();  // Perhaps the last reference.
}

}  // namespace brood
