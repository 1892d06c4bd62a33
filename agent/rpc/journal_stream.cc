// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/journal_stream.h"

#include <utility>

#include "agent/rpc/message_bytes.h"
#include "agent/rpc/resume_token.h"
#include "brood/v1/event.pb.h"
#include "brood/v1/job_service.pb.h"
#include "brood/v1/parent_service.pb.h"
#include "common/rpc/grpc_status.h"

namespace brood {
namespace {

// All streams' responses have their events and their token under the same numbers.
constexpr int kResumeTokenField = v1::WatchEventsResponse::kResumeTokenFieldNumber;
static_assert(kResumeTokenField == v1::WatchMemoryResponse::kResumeTokenFieldNumber);
static_assert(int{v1::WatchEventsResponse::kEventsFieldNumber} ==
              int{v1::WatchMemoryResponse::kEventsFieldNumber});

}  // namespace

Status JournalStream::Resume(const std::string& resume_token) {
  const Journal* const journal = agent_->journal();
  Result<ResumeToken> token = ParseResumeToken(resume_token);
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
  return Ok();
}

std::string JournalStream::TokenOf(uint64_t cursor) const {
  return FormatResumeToken(
      ResumeToken{agent_->journal()->id(), agent_->journal()->epoch(), cursor});
}

void JournalStream::HoldForGreeting() {
  const absl::MutexLock lock(&mutex_);
  writing_ = true;
}

void JournalStream::Greet(std::string message) {
  {
    const absl::MutexLock lock(&mutex_);
    if (ended_) return;
    response_ = BufferOf(message);
  }
  StartWrite(&response_);
}

std::string JournalStream::GapResponse(uint64_t first, uint64_t last) const {
  v1::WatchEventsResponse response;
  v1::Event* const event = response.add_events();
  event->set_host(agent_->options().name);
  event->set_observer(v1::OBSERVER_AGENT);
  event->set_evidence(v1::EVIDENCE_SEEN);
  event->mutable_gap()->set_first_cursor(first);
  event->mutable_gap()->set_last_cursor(last);
  event->mutable_gap()->set_why("no longer kept");
  response.set_resume_token(TokenOf(last));
  return response.SerializeAsString();
}

void JournalStream::Pump() {
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
                        return Wants(job_key, field, event);
                      });
      // What there is before the damage goes out first.
      if (page.failed && page.count == 0) return End(ToGrpcStatus(*page.failed));
      cursor_ = page.last_cursor;
      at_head = page.at_head && !page.failed;
      if (page.count > 0) {
        message = std::move(page.bytes);
        AppendField(kResumeTokenField, TokenOf(cursor_), &message);
      }
    }
    const bool over = Over();
    bool finish = false;
    {
      const absl::MutexLock lock(&mutex_);
      pumping_ = false;
      if (ended_) return;
      if (!message.empty()) {
        writing_ = true;
        response_ = BufferOf(message);
      } else if (over || (at_head && !follow_)) {
        finish = true;
      } else if (at_head && !again_) {
        return;
      }
    }
    if (!message.empty()) return StartWrite(&response_);
    if (finish) return End(grpc::Status::OK);
  }
}

void JournalStream::OnWriteDone(bool ok) {
  {
    const absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
  if (ok) return Pump();
  End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
}

void JournalStream::OnCancel() {
  End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
}

void JournalStream::End(const grpc::Status& status) {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(ended_, true)) return;
  }
  Finish(status);
}

void JournalStream::OnDone() {
  Release();
  self_.reset();
}

}  // namespace brood
