// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/watch.h"

#include <absl/synchronization/mutex.h>

#include <algorithm>
#include <functional>
#include <map>
#include <thread>

#include "common/base/event_loop.h"
#include "controller/cli/command.h"
#include "controller/cli/signal_source.h"
#include "controller/client/each_host.h"
#include "controller/client/event_stream.h"
#include "controller/client/memory_stream.h"

namespace brood::cli {
namespace {

// The streams under way, to be broken off by a signal.
class OpenStreams {
 public:
  // False if it is too late.
  template <typename Stream>
  bool Add(Stream* stream) {
    absl::MutexLock lock(&mutex_);
    if (broken_off_) return false;
    streams_[stream] = [stream] { stream->BreakOff(); };
    return true;
  }
  void Remove(void* stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  }
  void BreakOff() {
    absl::MutexLock lock(&mutex_);
    broken_off_ = true;
    for (const auto& entry : streams_) entry.second();
  }

 private:
  absl::Mutex mutex_;
  std::map<void*, std::function<void()>> streams_ ABSL_GUARDED_BY(mutex_);
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

using Reading = std::function<Status(size_t host, Connection& connection)>;

// Reads from all hosts until they are done or a signal breaks it off. The reading is done
// by others, so that this thread can wait for signals.
void ReadAll(const std::vector<HostAddress>& hosts, const Reading& read, OpenStreams* streams,
             WatchEnd* end) {
  auto signals = SignalSource::Create(SignalSource::Pipe::kDie);
  auto loop = EventLoop::Create();
  if (!signals || !loop) {
    end->hosts = EachHost(hosts, read);
    return;
  }
  (*signals)->Attach(**loop, [&](int signal) {
    end->signal = signal;
    streams->BreakOff();
  });
  std::thread reader([&] {
    end->hosts = EachHost(hosts, read);
    (*loop)->Stop();
  });
  (*loop)->Run();
  reader.join();
  (*signals)->Detach();
}

ResumeOptions Resume(const WatchOptions& options, size_t host, absl::Mutex* one_at_a_time) {
  ResumeOptions resume{options.resume, nullptr, nullptr};
  if (!options.note) return resume;
  resume.lost = [&options, host, one_at_a_time](const Error& why) {
    absl::MutexLock lock(one_at_a_time);
    options.note(host, LostSentence(why, options.resume));
  };
  resume.back = [&options, host, one_at_a_time] {
    absl::MutexLock lock(one_at_a_time);
    options.note(host, kBackSentence);
  };
  return resume;
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
      EventStream stream(connection, Request(jobs[host].ids, first, options),
                         Resume(options, host, &one_at_a_time));
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
  ReadAll(HostsOf(jobs), read, &streams, &end);
  return end;
}

WatchEnd WatchCells(const std::vector<HostAddress>& hosts, const v1::WatchMemoryRequest& request,
                    const WatchOptions& options,
                    const std::function<void(size_t host, const v1::Event& event)>& event) {
  WatchEnd end;
  end.resume_tokens.resize(hosts.size());
  OpenStreams streams;
  absl::Mutex one_at_a_time;
  const auto read = [&](size_t host, Connection& connection) -> Status {
    MemoryStream stream(connection, request, Resume(options, host, &one_at_a_time));
    if (!streams.Add(&stream)) return Ok();
    for (v1::WatchMemoryResponse batch; stream.NextBatch(&batch);) {
      absl::MutexLock lock(&one_at_a_time);
      for (const v1::Event& one : batch.events()) event(host, one);
      end.resume_tokens[host] = batch.resume_token();
    }
    streams.Remove(&stream);
    return stream.Finish();
  };
  ReadAll(hosts, read, &streams, &end);
  return end;
}

}  // namespace brood::cli
