// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace brood {

// The end of a stream whose client took nothing for too long, with what it goes on with:
// RESOURCE_EXHAUSTED, reason SLOW_READER, `key` and `value` in the ErrorInfo's metadata.
grpc::Status SlowReader(const std::string& key, const std::string& value);

// Watches whether the client of one stream takes what it is sent.
class WriteWatch {
 public:
  // `slow` is called once, in another thread, when a write has been under way for
  // `patience`: it ends the stream by a status. If that is not taken either, the call
  // is cancelled after as long again: then nothing of it is in memory.
  WriteWatch(grpc::CallbackServerContext* context, std::chrono::nanoseconds patience,
             std::function<void()> slow)
      : patience_(patience), slow_(std::move(slow)), context_(context) {}

  // Around each write, any thread.
  void Begin();
  void End() { since_ns_ = 0; }
  // In the stream's OnDone: the context is going. Waits for a look under way.
  void Close();

  void Look(int64_t now_ns);

 private:
  const std::chrono::nanoseconds patience_;
  const std::function<void()> slow_;
  std::atomic<int64_t> since_ns_{0};  // CLOCK_BOOTTIME; 0: no write is under way
  std::atomic<bool> called_{false};

  absl::Mutex mutex_;
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mutex_);
  std::thread::id canceller_ ABSL_GUARDED_BY(mutex_);
};

// Looks at the streams of a server, from a thread of its own that sleeps while there
// are none. Thread-safe.
class StreamWatch {
 public:
  explicit StreamWatch(std::chrono::nanoseconds patience);
  ~StreamWatch();

  // A stream that begins. It is given the greeting's metadata, which it sends at once.
  std::shared_ptr<WriteWatch> Add(grpc::CallbackServerContext* context, std::function<void()> slow);

 private:
  void Run();

  const std::chrono::nanoseconds patience_;
  absl::Mutex mutex_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::weak_ptr<WriteWatch>> streams_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace brood
