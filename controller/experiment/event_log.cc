// SPDX-License-Identifier: Apache-2.0
#include "controller/experiment/event_log.h"

#include <utility>

namespace brood {
namespace {

// How often a stop from outside is looked for while waiting.
constexpr absl::Duration kLook = absl::Milliseconds(50);

}  // namespace

EventLog::EventLog(Connection& connection, std::string prefix)
    : connection_(connection), prefix_(std::move(prefix)) {}

EventLog::~EventLog() {
  for (const std::unique_ptr<Watch>& watch : watches_) {
    watch->stream->BreakOff();
    watch->reader.join();
  }
  if (stream_ != nullptr) stream_->BreakOff();
  if (reader_.joinable()) reader_.join();
}

Status EventLog::Open(absl::Duration within) {
  v1::WatchEventsRequest request;
  request.set_follow(true);
  request.set_only_new(true);
  stream_ = std::make_unique<EventStream>(connection_, request);
  reader_ = std::thread([this] { Read(); });
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(
                              +[](EventLog* self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(self->mutex_) {
                                return self->open_ || self->over_;
                              },
                              this),
                          within);
  if (open_) return Ok();
  if (error_) return error_;
  return Error{ErrorCode::kDeadlineExceeded, "NO_EVENTS",
               "host '" + connection_.address().name + "' did not open its stream of events", ""};
}

void EventLog::Read() {
  for (v1::WatchEventsResponse page; stream_->NextBatch(&page);) {
    const absl::MutexLock lock(&mutex_);
    if (!open_) first_token_ = page.resume_token();
    open_ = true;
    for (const v1::Event& event : page.events()) Take(event);
    last_token_ = page.resume_token();
  }
  const absl::MutexLock lock(&mutex_);
  over_ = true;
  if (!error_) error_ = stream_->Finish();
}

void EventLog::Take(const v1::Event& event) {
  if (event.has_gap()) {
    error_ = Error{ErrorCode::kDataLoss, "GAP",
                   "events were no longer kept when they were asked for: " + event.gap().why(), ""};
    return;
  }
  const bool is_job = event.job_id().rfind(prefix_, 0) == 0;
  const bool is_parent = event.job_id().empty() && event.unit().parent().rfind(prefix_, 0) == 0;
  if (!is_job && !is_parent) return;
  if (Status wrong = order_.Check(event); wrong && !error_) error_ = wrong;
  (is_job ? jobs_[event.job_id()] : parents_[event.unit().parent()]).push_back(event);
}

Status EventLog::WatchMemory(const std::string& parent, const std::vector<std::string>& cells,
                             absl::Duration within) {
  v1::WatchMemoryRequest request;
  request.set_parent(parent);
  *request.mutable_cells() = {cells.begin(), cells.end()};
  auto watch = std::make_unique<Watch>();
  watch->stream = std::make_unique<MemoryStream>(connection_, request);
  // The events themselves come by the other stream; this one only keeps the watch.
  absl::Mutex mutex;
  bool greeted = false;
  bool over = false;
  std::atomic<bool> told{false};
  MemoryStream* const stream = watch->stream.get();
  watch->reader = std::thread([stream, &mutex, &greeted, &over, &told] {
    v1::WatchMemoryResponse page;
    const bool first = stream->NextBatch(&page);
    {
      const absl::MutexLock lock(&mutex);
      greeted = first;
      over = true;
      told = true;
    }
    while (first && stream->NextBatch(&page)) {
    }
  });
  bool in_time = false;
  {
    absl::MutexLock lock(&mutex);
    in_time = mutex.AwaitWithTimeout(absl::Condition(&over), within);
  }
  if (!in_time) stream->BreakOff();
  while (!told) absl::SleepFor(absl::Milliseconds(1));  // The thread lets go of our variables.
  watches_.push_back(std::move(watch));
  if (greeted) return Ok();
  if (Status failed = in_time ? watches_.back()->stream->Finish() : Ok()) return failed;
  return Error{ErrorCode::kDeadlineExceeded, "NO_WATCH",
               "the cells of parent '" + parent + "' could not be watched in time", ""};
}

bool EventLog::WaitUntil(const std::function<bool(const Events& jobs, const Events& parents)>& done,
                         absl::Duration within, const std::atomic<bool>* stop) {
  const absl::Time deadline = absl::Now() + within;
  absl::MutexLock lock(&mutex_);
  for (;;) {
    if (done(jobs_, parents_)) return true;
    if (error_ || over_ || absl::Now() >= deadline) return false;
    if (stop != nullptr && stop->load()) return false;
    const std::string seen = last_token_;
    const auto moved = [this, &seen]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return last_token_ != seen || over_;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&moved), kLook);
  }
}

EventLog::Events EventLog::jobs() const {
  const absl::MutexLock lock(&mutex_);
  return jobs_;
}

EventLog::Events EventLog::parents() const {
  const absl::MutexLock lock(&mutex_);
  return parents_;
}

Status EventLog::error() const {
  const absl::MutexLock lock(&mutex_);
  return error_;
}

std::string EventLog::first_token() const {
  const absl::MutexLock lock(&mutex_);
  return first_token_;
}

std::string EventLog::last_token() const {
  const absl::MutexLock lock(&mutex_);
  return last_token_;
}

}  // namespace brood
