// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/journal_stream.h"

#include <algorithm>
#include <utility>

#include "agent/rpc/message_bytes.h"
#include "agent/rpc/resume_token.h"
#include "brood/v1/job_service.pb.h"
#include "brood/v1/parent_service.pb.h"
#include "common/base/planted_bug.h"
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
  const Result<uint64_t> cursor = CursorOf(resume_token, *agent_->journal());
  if (!cursor) return cursor.error();
  cursor_ = *cursor;
  const uint64_t head = agent_->journal()->head();
  if (Planted(Bug::kTokenOffByOne)) cursor_ = std::min(cursor_ + 1, head);
  if (Planted(Bug::kPushOnly)) cursor_ = head;
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
  write_->Begin();
  StartWrite(&response_);
}

void JournalStream::Keep(StreamWatch* streams) {
  self_ = shared_from_this();
  const std::weak_ptr<JournalStream> weak = self_;
  write_ = streams->Add(context_, [weak] {
    if (const std::shared_ptr<JournalStream> self = weak.lock()) self->OnSlow();
  });
  StartSendInitialMetadata();
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
      message = GapMessage(agent_->options().name, cursor_ + 1, oldest - 1);
      cursor_ = oldest - 1;
      AppendField(kResumeTokenField, TokenOf(cursor_), &message);
      Skipped(cursor_);
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
    const bool over = Over(at_head);
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
    if (!message.empty()) {
      write_->Begin();
      return StartWrite(&response_);
    }
    if (finish) return End(grpc::Status::OK);
  }
}

void JournalStream::OnWriteDone(bool ok) {
  write_->End();
  {
    const absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
  if (ok) return Pump();
  End(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
}

void JournalStream::OnSlow() {
  std::string token;
  {
    const absl::MutexLock lock(&mutex_);
    if (!writing_ || ended_) return;
    ended_ = true;
    // Nobody pumps while a write is under way, and the status is read after what is being written.
    token = TokenOf(cursor_);
  }
  Finish(SlowReader("resume_token", token));
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
  write_->Close();
  Release();
  self_.reset();
}

}  // namespace brood
