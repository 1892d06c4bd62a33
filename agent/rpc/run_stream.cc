// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/run_stream.h"

#include <algorithm>
#include <utility>

#include "agent/rpc/known_job.h"
#include "agent/rpc/limits.h"
#include "agent/rpc/message_bytes.h"
#include "agent/rpc/resume_token.h"
#include "agent/rpc/submission.h"
#include "brood/v1/job_service.pb.h"
#include "common/job/text.h"
#include "common/rpc/grpc_status.h"

namespace brood {

RunStream* RunStream::Start(Agent* agent, StreamWatch* streams,
                            grpc::CallbackServerContext* context) {
  std::shared_ptr<RunStream> stream(new RunStream(agent));
  stream->self_ = stream;
  stream->write_ = streams->Add(context, [weak = std::weak_ptr<RunStream>(stream)] {
    if (const std::shared_ptr<RunStream> self = weak.lock()) self->OnSlow();
  });
  stream->StartSendInitialMetadata();
  stream->StartRead(&stream->request_);
  return stream.get();
}

void RunStream::OnReadDone(bool ok) {
  if (!ok) {
    {
      const absl::MutexLock lock(&mutex_);
      read_closed_ = true;
      gathering_ = false;
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
  if (const Status failed = Follow(request)) return End(ToGrpcStatus(*failed));
  const uint64_t head = agent_->journal()->head();
  uint64_t number = 0;
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(first_, false)) include_output_ = request.include_output();
    number = next_submission_++;
    submitting_[number].head = head;
  }
  auto news = std::make_shared<std::vector<AcceptedJob>>();
  auto response = std::make_shared<v1::RunJobsResponse>();
  const std::shared_ptr<RunStream> self = shared_from_this();
  SubmitAll(
      agent_, request.jobs(), response->mutable_accepted(),
      [&](const AcceptedJob& job) {
        news->push_back(job);
        // Of one that is over nothing more comes.
        if (!job.cleaned) agent_->feed()->AddForJob(job.job_key, self);
      },
      [self, news, response, head, number](const Status& failed) {
        // Nothing of jobs that were refused at last is shown.
        if (failed) {
          for (const AcceptedJob& one : std::exchange(*news, {}))
            self->agent_->feed()->RemoveFromJob(one.job_key, self.get());
        }
        bool ended = false;
        {
          const absl::MutexLock lock(&self->mutex_);
          ended = self->ended_;
          self->Answer(number, response->SerializeAsString());
          const uint64_t known = self->submitting_.empty()
                                     ? head
                                     : std::min(head, self->submitting_.begin()->second.head);
          // Nothing between the old cursor and this one can be ours.
          if (self->jobs_.empty() && self->pasts_.empty())
            self->cursor_ = std::max(self->cursor_, known);
          for (const AcceptedJob& one : *news) {
            uint64_t live_after = head;
            if (one.existed) {
              live_after = one.cleaned ? one.last_cursor : self->agent_->journal()->head();
            }
            // One that this call has already is told of once.
            if (!self->jobs_.emplace(one.job_key, live_after).second || !one.existed) continue;
            self->pasts_.push_back(
                Past{one.job_key, one.first_cursor - 1, live_after, one.cleaned});
          }
        }
        // OnDone may have been before that.
        if (ended) self->StopListening();
        self->Pump();
      });
  agent_->sequencer()->Commit();
  ReadOn();
}

void RunStream::Answer(uint64_t number, std::string answer) {
  Submission& submission = submitting_.at(number);
  submission.done = true;
  submission.answer = std::move(answer);
  while (!submitting_.empty() && submitting_.begin()->second.done) {
    std::string& first = submitting_.begin()->second.answer;
    // A request that only named jobs to follow has no answer.
    if (!first.empty()) accepted_.push_back(std::move(first));
    submitting_.erase(submitting_.begin());
  }
}

Status RunStream::Follow(const v1::RunJobsRequest& request) {
  {
    const absl::MutexLock lock(&mutex_);
    gathering_ = request.follow_job_ids_size() > 0;
    if (!gathering_) gathered_ = true;
    if (!gathering_) return Ok();
    if (gathered_) return FieldError("follow_job_ids", "they come before all jobs of a call");
    // A refusal ends the call; what was sent with it is not decided on.
    if (request.jobs_size() > 0)
      return FieldError("jobs", "none with follow_job_ids; send them in the next request");
  }
  if (request.follow_job_ids_size() > kJobIdsPerRequestMax) {
    return FieldError("follow_job_ids",
                      std::to_string(request.follow_job_ids_size()) + " ids; name at most " +
                          std::to_string(kJobIdsPerRequestMax) + " in one request");
  }
  uint64_t after = 0;
  if (!request.resume_token().empty()) {
    const Result<uint64_t> cursor = CursorOf(request.resume_token(), *agent_->journal());
    if (!cursor) return cursor.error();
    after = *cursor;
  }
  std::vector<std::pair<uint64_t, uint64_t>> followed;  // key, and after which cursor
  std::vector<Past> forgotten;
  Status unknown;
  agent_->sequencer()->Look([&](const Core& core) {
    const uint64_t head = agent_->journal()->head();
    for (const std::string& id : request.follow_job_ids()) {
      const Result<KnownJob> job = FindJob(*agent_, core, id, "follow_job_ids");
      if (!job) {
        unknown = job.error();
        return;
      }
      const uint64_t from = std::max(after, job->first_cursor - 1);
      if (job->job == nullptr) {
        forgotten.push_back(Past{job->job_key, from, head, true});
        followed.emplace_back(job->job_key, head);
      } else if (!job->job->view.cleaned() || job->job->last_cursor > after) {
        followed.emplace_back(job->job_key, from);
      }
    }
  });
  if (unknown) return unknown;
  for (const auto& job : followed) agent_->feed()->AddForJob(job.first, shared_from_this());
  const absl::MutexLock lock(&mutex_);
  for (const auto& [key, from] : followed) {
    cursor_ = jobs_.empty() ? from : std::min(cursor_, from);
    jobs_.emplace(key, from);
  }
  pasts_.insert(pasts_.end(), forgotten.begin(), forgotten.end());
  return Ok();
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

uint64_t RunStream::SentUpTo() const {
  uint64_t cursor = cursor_;
  for (const Past& past : pasts_) cursor = std::min(cursor, past.after);
  return cursor;
}

std::string RunStream::WithToken(std::string message) {
  if (message.empty()) return message;
  const Journal* const journal = agent_->journal();
  ResumeToken token{journal->id(), journal->epoch(), 0};
  {
    const absl::MutexLock lock(&mutex_);
    token.cursor = SentUpTo();
  }
  AppendField(v1::RunJobsResponse::kResumeTokenFieldNumber, FormatResumeToken(token), &message);
  return message;
}

// Pasts first, each by itself.
std::string RunStream::ReadPast(Status* failed) {
  Past past;
  bool include_output = false;
  {
    const absl::MutexLock lock(&mutex_);
    past = pasts_.front();
    include_output = include_output_;
  }
  const uint64_t oldest = agent_->journal()->oldest();
  EventPage page;
  bool over = false;
  if (past.after + 1 < oldest && past.after < past.until) {
    page.last_cursor = std::min(oldest - 1, past.until);
    page.bytes = GapMessage(agent_->options().name, past.after + 1, page.last_cursor);
  } else {
    page = pages_.Read(past.after, past.until, include_output,
                       [&](uint64_t, uint64_t job_key, int field, std::string_view) {
                         if (job_key != past.job_key) return false;
                         over = over || field == v1::Event::kCleanedFieldNumber;
                         return true;
                       });
    // What it was expected to have may no longer be kept.
    over = over || (page.at_head && past.cleaned);
    *failed = page.failed;
  }
  const absl::MutexLock lock(&mutex_);
  again_ = true;
  pasts_.front().after = page.last_cursor;
  if (over) Forget(past.job_key);
  if (over || page.at_head) pasts_.pop_front();
  return std::move(page.bytes);
}

std::string RunStream::ReadGap(uint64_t oldest) {
  std::vector<uint64_t> keys;
  uint64_t first = 0;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& job : jobs_) keys.push_back(job.first);
    first = cursor_ + 1;
  }
  std::vector<uint64_t> over;
  agent_->sequencer()->Look([&](const Core& core) {
    for (const uint64_t key : keys) {
      const CoreJob* const job = core.Find(key);
      if (job == nullptr || (job->view.cleaned() && job->last_cursor < oldest)) over.push_back(key);
    }
  });
  const absl::MutexLock lock(&mutex_);
  again_ = true;
  for (const uint64_t key : over) Forget(key);
  cursor_ = oldest - 1;
  return GapMessage(agent_->options().name, first, oldest - 1);
}

std::string RunStream::NextMessage(Status* failed) {
  uint64_t cursor = 0;
  uint64_t until = UINT64_MAX;
  bool include_output = false;
  bool past = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (!accepted_.empty()) {
      std::string message = std::move(accepted_.front());
      accepted_.pop_front();
      return message;
    }
    past = !pasts_.empty();
    cursor = cursor_;
    if (!submitting_.empty()) until = submitting_.begin()->second.head;
    include_output = include_output_;
    if (jobs_.empty()) return {};
  }
  if (past) return ReadPast(failed);
  if (const uint64_t oldest = agent_->journal()->oldest(); cursor + 1 < oldest)
    return ReadGap(oldest);
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
      if (pumping_ || writing_ || ended_ || gathering_) return;
      pumping_ = true;
      again_ = false;
    }
    Status failed;
    const std::string message = WithToken(NextMessage(&failed));
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
    if (write) {
      write_->Begin();
      return StartWrite(&response_);
    }
    if (finish) return End(grpc::Status::OK);
  }
}

void RunStream::OnWriteDone(bool ok) {
  write_->End();
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

void RunStream::OnSlow() {
  const Journal* const journal = agent_->journal();
  ResumeToken token{journal->id(), journal->epoch(), 0};
  {
    const absl::MutexLock lock(&mutex_);
    if (!writing_ || ended_) return;
    ended_ = true;
    // Nobody pumps while a write is under way, and the status is read after what is being written.
    token.cursor = SentUpTo();
  }
  Finish(SlowReader("resume_token", FormatResumeToken(token)));
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
  write_->Close();
  {
    const absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  StopListening();
  self_.reset();  // Perhaps the last reference.
}

}  // namespace brood
