// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/watch_stream.h"

#include <utility>

#include "agent/rpc/limits.h"
#include "agent/rpc/message_bytes.h"
#include "agent/rpc/resume_token.h"
#include "brood/v1/event.pb.h"
#include "common/rpc/grpc_status.h"

namespace brood {
namespace {

// The run that an event belongs to.
bool IsOfRun(std::string_view event, const std::string& run_id) {
  v1::Event parsed;
  return parsed.ParseFromArray(event.data(), static_cast<int>(event.size())) &&
         parsed.run_id() == run_id;
}

}  // namespace

WatchStream* WatchStream::Start(Agent* agent, const grpc::ByteBuffer& buffer) {
  std::shared_ptr<WatchStream> stream(new WatchStream(agent));
  stream->self_ = stream;
  v1::WatchEventsRequest request;
  Status failed;
  if (!ParseBuffer(buffer, &request)) {
    failed = Error{ErrorCode::kInvalidArgument, "BAD_MESSAGE",
                   "the request is no WatchEventsRequest", ""};
  } else {
    failed = stream->Begin(request);
  }
  if (failed) {
    stream->End(ToGrpcStatus(*failed));
  } else {
    stream->Pump();
  }
  return stream.get();
}

Status WatchStream::Begin(const v1::WatchEventsRequest& request) {
  include_output_ = request.include_output();
  follow_ = request.follow();
  run_id_ = request.run_id();
  by_job_ = request.job_ids_size() > 0;
  if (request.job_ids_size() > kJobIdsPerRequestMax) {
    return FieldError("job_ids", "too many; name at most " + std::to_string(kJobIdsPerRequestMax));
  }
  uint64_t first = UINT64_MAX;
  Status unknown;
  agent_->sequencer()->Look([&](const Core& core) {
    for (const std::string& id : request.job_ids()) {
      const CoreJob* const job = core.Find(id);
      if (job == nullptr) {
        unknown =
            Error{ErrorCode::kNotFound, "NO_SUCH_JOB",
                  "host '" + agent_->options().name + "' knows no job '" + id + "'", "job_ids"};
        return;
      }
      jobs_.insert(job->key);
      uncleaned_.insert(job->key);
      watched_.push_back(job->key);
      first = std::min(first, job->first_cursor);
    }
  });
  if (unknown) return unknown;
  const Journal* const journal = agent_->journal();
  if (!request.resume_token().empty()) {
    Result<ResumeToken> token = ParseResumeToken(request.resume_token());
    if (!token) return token.error();
    if (token->journal_id != journal->id()) {
      return FieldError("resume_token", "it is of another journal; begin without one");
    }
    if (token->cursor > journal->head() || token->epoch > journal->epoch()) {
      return Error{ErrorCode::kOutOfRange, "PAST_THE_HEAD",
                   "resume_token: it lies past the journal's head; begin without one",
                   "resume_token"};
    }
    cursor_ = token->cursor;
    // What was cleaned before the token will not be seen to be.
    agent_->sequencer()->Look([&](const Core& core) {
      for (const uint64_t key : watched_) {
        const CoreJob* const job = core.Find(key);
        if (job != nullptr && job->view.cleaned() && job->last_cursor <= cursor_)
          uncleaned_.erase(key);
      }
    });
  } else if (by_job_) {
    cursor_ = first - 1;
  }
  if (follow_) {
    const std::shared_ptr<WatchStream> self = shared_from_this();
    if (!by_job_) agent_->feed()->AddForAll(self);
    for (const uint64_t key : watched_) agent_->feed()->AddForJob(key, self);
  }
  return Ok();
}

std::string WatchStream::GapResponse(uint64_t first, uint64_t last) const {
  v1::WatchEventsResponse response;
  v1::Event* const event = response.add_events();
  event->set_host(agent_->options().name);
  event->set_observer(v1::OBSERVER_AGENT);
  event->set_evidence(v1::EVIDENCE_SEEN);
  event->mutable_gap()->set_first_cursor(first);
  event->mutable_gap()->set_last_cursor(last);
  event->mutable_gap()->set_why("no longer kept");
  response.set_resume_token(
      FormatResumeToken(ResumeToken{agent_->journal()->id(), agent_->journal()->epoch(), last}));
  return response.SerializeAsString();
}

void WatchStream::Pump() {
  for (;;) {
    {
      const absl::MutexLock lock(&mutex_);
      again_ = true;
      if (pumping_ || writing_ || ended_) return;
      pumping_ = true;
      again_ = false;
    }
    std::string message;
    bool at_head = false;
    const Journal* const journal = agent_->journal();
    const uint64_t oldest = journal->oldest();
    if (cursor_ + 1 < oldest) {
      message = GapResponse(cursor_ + 1, oldest - 1);
      cursor_ = oldest - 1;
    } else {
      EventPage page =
          pages_.Read(cursor_, UINT64_MAX, include_output_,
                      [this](uint64_t, uint64_t job_key, int field, std::string_view event) {
                        if (by_job_ && jobs_.count(job_key) == 0) return false;
                        if (!run_id_.empty() && !IsOfRun(event, run_id_)) return false;
                        if (by_job_ && field == v1::Event::kCleanedFieldNumber)
                          uncleaned_.erase(job_key);
                        return true;
                      });
      cursor_ = page.last_cursor;
      at_head = page.at_head;
      if (page.count > 0) {
        message = std::move(page.bytes);
        AppendField(v1::WatchEventsResponse::kResumeTokenFieldNumber,
                    FormatResumeToken(ResumeToken{journal->id(), journal->epoch(), cursor_}),
                    &message);
      }
    }
    const bool all_cleaned = by_job_ && uncleaned_.empty();
    bool finish = false;
    {
      const absl::MutexLock lock(&mutex_);
      pumping_ = false;
      if (ended_) return;
      if (!message.empty()) {
        writing_ = true;
        response_ = BufferOf(message);
      } else if (all_cleaned || (at_head && !follow_)) {
        finish = true;
      } else if (at_head && !again_) {
        return;
      }
    }
    if (!message.empty()) return StartWrite(&response_);
    if (finish) return End(grpc::Status::OK);
  }
}

void WatchStream::OnWriteDone(bool ok) {
  {
    const absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
  if (ok) return Pump();
  End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
}

void WatchStream::OnCancel() {
  End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
}

void WatchStream::End(const grpc::Status& status) {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(ended_, true)) return;
  }
  Finish(status);
}

void WatchStream::OnDone() {
  agent_->feed()->Remove(this, watched_);
  self_.reset();
}

}  // namespace brood
