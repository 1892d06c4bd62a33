// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "agent/spool/followed_file.h"
#include "agent/spool/spool.h"
#include "agent/spool/spool_files.h"
#include "common/base/event_loop.h"

namespace brood {

// How often the files of a job are looked at: while they grow, and at least. Two looks cost some
// microseconds, so that a thousand silent jobs take less than a hundredth of a CPU.
inline constexpr int64_t kFollowNanos = 50'000'000;
inline constexpr int64_t kFollowSlowlyNanos = 400'000'000;
// What is told of a stream at one look, some thousand events: an agent that returns may find
// terabytes.
inline constexpr uint64_t kTellBytes = 64 << 20;
// After the end, while others have a file open: whether they have let go.
inline constexpr int64_t kHeldLookNanos = 10'000'000;
// What those who outlive the job's closing write on is cut away so often.
inline constexpr int64_t kCutNanos = 1'000'000'000;

// The jobs that write their files themselves. All calls in the loop's thread.
class FollowedJobs {
 public:
  FollowedJobs(EventLoop* loop, Spool::Listener* listener, const SpoolFiles* files,
               SettingsBook* book)
      : loop_(loop), listener_(listener), files_(files), book_(book) {}
  ~FollowedJobs();
  FollowedJobs(const FollowedJobs&) = delete;
  FollowedJobs& operator=(const FollowedJobs&) = delete;

  // Does nothing if it is followed already.
  void Follow(uint64_t job_key, const SpoolSettings& settings);
  // The job has ended, and is followed.
  void Finish(uint64_t job_key);
  // It was closed at these ends: whoever still writes, writes for nobody.
  void CutBehind(uint64_t job_key, const SpoolSettings& settings, const uint64_t (&ends)[2]);

 private:
  struct Job {
    Job(const SpoolFiles& files, uint64_t key, const SpoolSettings& settings);
    FollowedFile out;
    FollowedFile err;
    bool finishing = false;
    bool limit_told = false;
    int64_t last_byte_ns = 0;  // once it is finishing
    int64_t period_ns = kFollowNanos;
    EventLoop::TimerId timer = 0;
  };

  void OnTime(uint64_t job_key);
  bool Look(uint64_t job_key, Job* job);  // true if there was something new
  void End(uint64_t job_key, Job* job);
  void Close(uint64_t job_key, FollowedFile::Holders holders);
  void Schedule(uint64_t job_key, Job* job, int64_t nanos);

  EventLoop* const loop_;
  Spool::Listener* const listener_;
  const SpoolFiles* const files_;
  SettingsBook* const book_;
  std::unordered_map<uint64_t, std::unique_ptr<Job>> jobs_;
  std::unordered_map<uint64_t, std::unique_ptr<Job>> held_;  // closed, and not let go
};

}  // namespace brood
