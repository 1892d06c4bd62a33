// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/write_watch.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/job/duration.h"
#include "common/rpc/greeting.h"
#include "common/rpc/grpc_status.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// Looks in the time of one patience: a slow reader is ended at most a quarter late.
constexpr int kLooksPerPatience = 4;

}  // namespace

grpc::Status SlowReader(const std::string& key, const std::string& value) {
  return ToGrpcStatus(Error{ErrorCode::kResourceExhausted, "SLOW_READER",
                            "the client took nothing of this stream for too long; go on from " +
                                key + " '" + value + "'",
                            ""},
                      {{key, value}});
}

void WriteWatch::Begin() { since_ns_ = BootTimeNanos(); }

void WriteWatch::Look(int64_t now_ns) {
  const int64_t since = since_ns_;
  if (since == 0 || now_ns - since < patience_.count()) return;
  if (!called_.exchange(true)) {
    spdlog::warn("a client took nothing of its stream for {}: it is cut off",
                 DurationText(patience_.count()));
    return slow_();
  }
  if (now_ns - since < 2 * patience_.count()) return;
  grpc::CallbackServerContext* context = nullptr;
  {
    const absl::MutexLock lock(&mutex_);
    context = std::exchange(context_, nullptr);
    canceller_ = std::this_thread::get_id();
  }
  // Unlocked: the stream's reactions may come right in this call, OnDone among them.
  if (context != nullptr) context->TryCancel();
  const absl::MutexLock lock(&mutex_);
  canceller_ = {};
}

void WriteWatch::Close() {
  const auto free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return canceller_ == std::thread::id() || canceller_ == std::this_thread::get_id();
  };
  mutex_.LockWhen(absl::Condition(&free));
  context_ = nullptr;
  mutex_.Unlock();
  since_ns_ = 0;
}

StreamWatch::StreamWatch(std::chrono::nanoseconds patience)
    : patience_(patience), thread_([this] { Run(); }) {}

StreamWatch::~StreamWatch() {
  {
    const absl::MutexLock lock(&mutex_);
    over_ = true;
  }
  thread_.join();
}

std::shared_ptr<WriteWatch> StreamWatch::Add(grpc::CallbackServerContext* context,
                                             std::function<void()> slow) {
  context->AddInitialMetadata(kGreetingKey, kVersion);
  auto watch = std::make_shared<WriteWatch>(context, patience_, std::move(slow));
  const absl::MutexLock lock(&mutex_);
  streams_.push_back(watch);
  return watch;
}

void StreamWatch::Run() {
  const auto needed = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return over_ || !streams_.empty();
  };
  for (;;) {
    std::vector<std::shared_ptr<WriteWatch>> looked_at;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&needed));
      mutex_.AwaitWithTimeout(absl::Condition(&over_),
                              absl::FromChrono(patience_) / kLooksPerPatience);
      if (over_) return;
      streams_.erase(std::remove_if(streams_.begin(), streams_.end(),
                                    [&looked_at](const std::weak_ptr<WriteWatch>& stream) {
                                      looked_at.push_back(stream.lock());
                                      if (looked_at.back() != nullptr) return false;
                                      looked_at.pop_back();
                                      return true;
                                    }),
                     streams_.end());
    }
    const int64_t now = BootTimeNanos();
    for (const std::shared_ptr<WriteWatch>& stream : looked_at) stream->Look(now);
  }
}

}  // namespace brood
