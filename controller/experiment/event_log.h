// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/job/event_order.h"
#include "controller/client/event_stream.h"
#include "controller/client/memory_stream.h"

namespace brood {

// The events of one run as they come, read by a thread of its own, and checked against the
// order rules. Jobs are those whose ids begin with the run's prefix, parents those whose
// names do.
class EventLog {
 public:
  EventLog(Connection& connection, std::string prefix);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Waits until no event can be missed.
  Status Open(absl::Duration within);
  // Makes the writes of a parent's cells events, until this goes.
  Status WatchMemory(const std::string& parent, const std::vector<std::string>& cells,
                     absl::Duration within);

  // Waits until `done` says so of what has come so far; false at the deadline, at `stop`, or when
  // the stream broke (then error() says why).
  using Events = std::map<std::string, std::vector<v1::Event>>;
  bool WaitUntil(const std::function<bool(const Events& jobs, const Events& parents)>& done,
                 absl::Duration within, const std::atomic<bool>* stop);

  // What came so far, by job id and by parent's name.
  Events jobs() const;
  Events parents() const;
  Status error() const;
  std::string first_token() const;
  std::string last_token() const;

 private:
  struct Watch {
    std::unique_ptr<MemoryStream> stream;
    std::thread reader;
  };
  void Read();
  void Take(const v1::Event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Connection& connection_;
  const std::string prefix_;
  std::unique_ptr<EventStream> stream_;
  std::thread reader_;
  std::vector<std::unique_ptr<Watch>> watches_;

  mutable absl::Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  Status error_ ABSL_GUARDED_BY(mutex_);
  std::string first_token_ ABSL_GUARDED_BY(mutex_);
  std::string last_token_ ABSL_GUARDED_BY(mutex_);
  EventOrder order_ ABSL_GUARDED_BY(mutex_);
  Events jobs_ ABSL_GUARDED_BY(mutex_);
  Events parents_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace brood
