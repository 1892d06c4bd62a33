// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/watch.h"

#include <absl/synchronization/mutex.h>

#include <algorithm>
#include <thread>

#include "common/base/event_loop.h"
#include "controller/cli/signal_source.h"
#include "controller/client/each_host.h"
#include "controller/client/event_stream.h"

namespace brood::cli {
namespace {

// The streams under way, to be broken off by a signal.
class OpenStreams {
 public:
  // False if it is too late.
  bool Add(EventStream* stream) {
    absl::MutexLock lock(&mutex_);
    if (broken_off_) return false;
    streams_.push_back(stream);
    return true;
  }
  void Remove(EventStream* stream) {
    absl::MutexLock lock(&mutex_);
    std::erase(streams_, stream);
  }
  void BreakOff() {
    absl::MutexLock lock(&mutex_);
    broken_off_ = true;
    for (EventStream* stream : streams_) stream->BreakOff();
  }

 private:
  absl::Mutex mutex_;
  std::vector<EventStream*> streams_ ABSL_GUARDED_BY(mutex_);
  bool broken_off_ ABSL_GUARDED_BY(mutex_) = false;
};

// As many ids as one WatchEvents takes; more are watched one part after the other.
constexpr size_t kIdsMax = 1024;

v1::WatchEventsRequest Request(const std::vector<std::string>& ids, size_t first,
                               const WatchOptions& options) {
  v1::WatchEventsRequest request;
  for (size_t i = first; i < std::min(first + kIdsMax, ids.size()); ++i)
    request.add_job_ids(ids[i]);
  request.set_run_id(options.run_id);
  request.set_resume_token(options.resume_token);
  request.set_follow(options.follow);
  request.set_include_output(options.include_output);
  return request;
}

}  // namespace

WatchEnd Watch(const std::vector<HostJobs>& jobs, const WatchOptions& options,
               const std::function<void(size_t host, const v1::Event& event)>& event) {
  WatchEnd end;
  end.resume_tokens.resize(jobs.size());
  OpenStreams streams;
  absl::Mutex one_at_a_time;
  const auto read = [&](size_t host, Connection& connection) -> Status {
    size_t first = 0;
    do {
      EventStream stream(connection, Request(jobs[host].ids, first, options));
      if (!streams.Add(&stream)) return Ok();
      for (v1::WatchEventsResponse batch; stream.NextBatch(&batch);) {
        absl::MutexLock lock(&one_at_a_time);
        for (const v1::Event& one : batch.events()) event(host, one);
        end.resume_tokens[host] = batch.resume_token();
      }
      streams.Remove(&stream);
      if (Status status = stream.Finish()) return status;
      first += kIdsMax;
    } while (first < jobs[host].ids.size());
    return Ok();
  };

  // The reading is done by others, so that this thread can wait for signals.
  auto signals = SignalSource::Create(SignalSource::Pipe::kDie);
  auto loop = EventLoop::Create();
  if (!signals || !loop) {
    end.hosts = EachHost(HostsOf(jobs), read);
    return end;
  }
  (*signals)->Attach(**loop, [&](int signal) {
    end.signal = signal;
    streams.BreakOff();
  });
  std::thread reader([&] {
    end.hosts = EachHost(HostsOf(jobs), read);
    (*loop)->Stop();
  });
  (*loop)->Run();
  reader.join();
  (*signals)->Detach();
  return end;
}

}  // namespace brood::cli
