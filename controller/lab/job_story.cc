// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/job_story.h"

#include <utility>
#include <variant>

#include "common/job/event_order.h"
#include "common/job/job_fold.h"

namespace brood {

const v1::Event* JobStory::First(v1::Event::PayloadCase payload) const {
  for (const v1::Event& event : events)
    if (event.payload_case() == payload) return &event;
  return nullptr;
}

const v1::Event* JobStory::End() const {
  for (const v1::Event& event : events)
    if (IsEnd(event)) return &event;
  return nullptr;
}

std::optional<v1::Value> JobStory::Returned() const {
  const v1::Event* const end = End();
  if (end == nullptr) return std::nullopt;
  if (end->has_exited() && end->exited().has_returned()) return end->exited().returned().value();
  if (end->has_thread_ended() && end->thread_ended().has_returned())
    return end->thread_ended().returned().value();
  return std::nullopt;
}

bool OpenRun::Add(RunStream* stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!stopped_) streams_[stream] = [stream] { stream->BreakOff(); };
  return !stopped_;
}

bool OpenRun::Add(MemoryStream* stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!stopped_) streams_[stream] = [stream] { stream->BreakOff(); };
  return !stopped_;
}

void OpenRun::Remove(const void* stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  streams_.erase(stream);
}

void OpenRun::Stop() {
  const std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = true;
  for (const auto& entry : streams_) entry.second();
}

bool OpenRun::stopped() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return stopped_;
}

Error StoppedError() { return Error{ErrorCode::kCancelled, "STOPPED", "it was stopped", ""}; }

Result<std::map<std::string, JobStory>> RunTogether(Connection& connection, OpenRun& open,
                                                    const std::vector<v1::JobSubmission>& jobs,
                                                    const std::function<Status()>& started) {
  std::map<std::string, JobStory> stories;
  EventOrder order;
  std::set<std::string> running;
  bool told = false;
  RunStream stream(connection, /*include_output=*/false);
  if (!open.Add(&stream)) return StoppedError();
  Status failed;
  if (!stream.Submit(jobs)) stream.CloseSubmissions();
  while (const std::optional<RunStream::Item> item = stream.Next()) {
    if (const auto* answer = std::get_if<v1::SubmittedJob>(&*item)) {
      if (answer->error_code() == 0) continue;
      failed = Error{static_cast<ErrorCode>(answer->error_code()), answer->error_reason(),
                     answer->error_message(), answer->error_field()};
      break;
    }
    const v1::Event& event = std::get<v1::Event>(*item);
    if ((failed = order.Check(event))) break;
    JobStory& story = stories[event.job_id()];
    story.job.set_job_id(event.job_id());
    FoldEvent(event, &story.job);
    story.events.push_back(event);
    if (event.has_started()) running.insert(event.job_id());
    if (told || !started || running.size() < jobs.size()) continue;
    told = true;
    if ((failed = started())) break;
  }
  open.Remove(&stream);
  if (open.stopped()) return StoppedError();
  if (failed) return *failed;
  if (Status status = stream.Finish()) return *status;
  if (Status wrong = order.Finish()) return *wrong;
  return stories;
}

}  // namespace brood
