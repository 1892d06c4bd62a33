// SPDX-License-Identifier: Apache-2.0
#include "controller/client/resume_core.h"

#include <algorithm>
#include <utility>

namespace brood {

bool IsLostLink(const Error& error, bool from_agent) {
  if (from_agent) {
    return error.code == ErrorCode::kResourceExhausted && error.reason == "SLOW_READER";
  }
  switch (error.code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kCancelled:
    case ErrorCode::kUnknown:
    case ErrorCode::kInternal:
      return true;
    default:
      return false;
  }
}

Error EndedEarly(const std::string& target) {
  return Error{ErrorCode::kInternal, "ENDED_EARLY",
               "the agent at '" + target + "' ended the call before its jobs had ended", ""};
}

Error BrokenOff(const std::string& what) {
  return Error{ErrorCode::kCancelled, "CANCELLED", "the " + what + " was broken off", ""};
}

bool Retries::OnConnected(int64_t now_ns) {
  if (connected_at_ns_) return false;
  reached_ = true;
  connected_at_ns_ = now_ns;
  lost_since_ns_.reset();
  return std::exchange(announced_, false);
}

void Retries::OnProgress() {
  failures_ = 0;
  backoff_.Reset();
}

Retries::Next Retries::OnEnd(const Error& error, bool from_agent, int64_t now_ns, uint64_t random) {
  if (connected_at_ns_ && now_ns - *connected_at_ns_ >= policy_.held_ns) OnProgress();
  connected_at_ns_.reset();
  if (!IsLostLink(error, from_agent)) return {};
  if (!lost_since_ns_) lost_since_ns_ = now_ns;
  const int64_t patience = reached_ ? policy_.give_up_after_ns : policy_.give_up_unreached_ns;
  const int64_t left = *lost_since_ns_ + patience - now_ns;
  if (left <= 0 || ++failures_ > policy_.failures_max) return {};
  Next next;
  next.pause_ns = std::min(left, backoff_.Next(random));
  next.announce = reached_ && failures_ > 1 && !std::exchange(announced_, true);
  return next;
}

void RunResume::FillRequest(std::deque<v1::JobSubmission>* jobs,
                            google::protobuf::RepeatedPtrField<v1::JobSubmission>* request) {
  size_t bytes = 0;
  while (!jobs->empty() && static_cast<size_t>(request->size()) < kBatchMax) {
    bytes += jobs->front().ByteSizeLong();
    if (request->size() > 0 && bytes > kBatchBytesMax) return;
    *request->Add() = std::move(jobs->front());
    jobs->pop_front();
  }
}

void RunResume::Submit(v1::JobSubmission job) { to_send_.push_back(std::move(job)); }

bool RunResume::NextRequest(v1::RunJobsRequest* request) {
  request->Clear();
  request->set_include_output(include_output_);
  if (!to_follow_.empty()) {
    following_ = true;
    request->set_resume_token(resume_token_);
    while (!to_follow_.empty() && request->follow_job_ids_size() < kFollowMax) {
      request->add_follow_job_ids(std::move(to_follow_.front()));
      to_follow_.pop_front();
    }
    return true;
  }
  // Without jobs, this ends those to follow.
  const bool due = std::exchange(following_, false);
  FillRequest(&to_send_, request->mutable_jobs());
  for (const v1::JobSubmission& job : request->jobs()) unanswered_.push_back(job);
  return due || request->jobs_size() > 0;
}

void RunResume::OnResponse(v1::RunJobsResponse* response) {
  for (const v1::SubmittedJob& answer : response->accepted()) {
    // Mostly the first: those of durable jobs may come after later ones.
    const auto sent = std::find_if(
        unanswered_.begin(), unanswered_.end(),
        [&answer](const v1::JobSubmission& job) { return job.job_id() == answer.job_id(); });
    if (sent != unanswered_.end()) unanswered_.erase(sent);
    if (answer.error_code() == 0) open_.emplace(answer.job_id(), 0);
  }
  if (!response->resume_token().empty()) resume_token_ = response->resume_token();
  auto* const events = response->mutable_events();
  int kept = 0;
  for (int i = 0; i < events->size(); ++i) {
    const v1::Event& event = events->Get(i);
    // A GAP is of no job, and has no cursor: it is for whoever reads.
    if (!event.has_gap()) {
      const auto job = open_.find(event.job_id());
      if (job == open_.end() || event.cursor() <= job->second) continue;
      job->second = event.cursor();
      if (event.has_cleaned()) open_.erase(job);
    }
    if (kept != i) events->SwapElements(kept, i);
    ++kept;
  }
  events->DeleteSubrange(kept, events->size() - kept);
}

void RunResume::OnBroken() {
  // What was not answered may not have arrived; under the same id it is started once.
  while (!unanswered_.empty()) {
    to_send_.push_front(std::move(unanswered_.back()));
    unanswered_.pop_back();
  }
  to_follow_.clear();
  following_ = false;
  for (const auto& job : open_) to_follow_.push_back(job.first);
  std::sort(to_follow_.begin(), to_follow_.end());
}

}  // namespace brood
