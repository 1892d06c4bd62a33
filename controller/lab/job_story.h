// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "brood/v1/job_service.pb.h"
#include "common/base/error.h"
#include "controller/client/connection.h"
#include "controller/client/memory_stream.h"
#include "controller/client/run_stream.h"

namespace brood {

// One job, as its events told it.
struct JobStory {
  v1::Job job;
  std::vector<v1::Event> events;

  // The first event with that payload; null if there is none.
  const v1::Event* First(v1::Event::PayloadCase payload) const;
  // What its call returned, with all digits; nothing if it returned nothing.
  std::optional<v1::Value> Returned() const;
  // The event that ended it; null if it has not ended.
  const v1::Event* End() const;
};

// The streams that several threads have open, so that all can be broken off at once.
// Thread-safe.
class OpenRun {
 public:
  // False if it is too late: Stop was called.
  bool Add(RunStream* stream);
  bool Add(MemoryStream* stream);
  void Remove(const void* stream);
  // Breaks off what is open, and lets nothing be opened any more.
  void Stop();
  bool stopped() const;

 private:
  mutable std::mutex mutex_;
  bool stopped_ = false;
  std::map<const void*, std::function<void()>> streams_;
};

// The error of what Stop has broken off.
Error StoppedError();

// Runs these jobs at once, to their last events, each stream checked against the rules of
// docs/events.md. `started` is called once, when all have started. An error means that a job
// was refused, that the stream broke, or CANCELLED after Stop; a job that failed is no error.
Result<std::map<std::string, JobStory>> RunTogether(
    Connection& connection, OpenRun& open, const std::vector<v1::JobSubmission>& jobs,
    const std::function<Status()>& started = nullptr);

}  // namespace brood
