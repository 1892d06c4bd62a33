// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/followed_jobs.h"

#include <algorithm>
#include <utility>

#include "common/base/clock.h"

namespace brood {
namespace {

using Holders = FollowedFile::Holders;

Holders Either(Holders one, Holders other) {
  if (one == Holders::kSome || other == Holders::kSome) return Holders::kSome;
  return one == Holders::kUnknown ? one : other;
}

}  // namespace

FollowedJobs::Job::Job(const SpoolFiles& files, uint64_t key, const SpoolSettings& settings)
    : out(files.Path(key, OutputStream::kStdout), settings),
      err(files.Path(key, OutputStream::kStderr), settings) {}

FollowedJobs::~FollowedJobs() {
  for (const auto& jobs : {&jobs_, &held_}) {
    for (const auto& [key, job] : *jobs) loop_->Cancel(job->timer);
  }
}

void FollowedJobs::Schedule(uint64_t job_key, Job* job, int64_t nanos) {
  job->timer = loop_->At({BootTimeNanos() + nanos}, [this, job_key] { OnTime(job_key); });
}

void FollowedJobs::Follow(uint64_t job_key, const SpoolSettings& settings) {
  std::unique_ptr<Job>& job = jobs_[job_key];
  if (job != nullptr) return;
  job = std::make_unique<Job>(*files_, job_key, settings);
  Schedule(job_key, job.get(), kFollowNanos);
}

void FollowedJobs::OnTime(uint64_t job_key) {
  const auto found = jobs_.find(job_key);
  if (found == jobs_.end()) return;
  Job* const job = found->second.get();
  if (job->finishing) return End(job_key, job);
  job->period_ns =
      Look(job_key, job) ? kFollowNanos : std::min(2 * job->period_ns, kFollowSlowlyNanos);
  Schedule(job_key, job, job->period_ns);
}

bool FollowedJobs::Look(uint64_t job_key, Job* job) {
  bool any = false;
  for (const OutputStream stream : {OutputStream::kStdout, OutputStream::kStderr}) {
    FollowedFile& file = stream == OutputStream::kStdout ? job->out : job->err;
    file.Look();
    // What a ring has lost already is one event, however much it is.
    const uint64_t upto = std::min(file.end(), std::max(file.told, file.begin()) + kTellBytes);
    const uint64_t from = std::exchange(file.told, std::max(file.told, upto));
    if (from < file.told) {
      any = true;
      listener_->OnOutput(job_key, stream, from, file.told - from);
    }
    if (file.over_limit() && !std::exchange(job->limit_told, true))
      listener_->OnOutputLimit(job_key, stream);
  }
  return any;
}

void FollowedJobs::Finish(uint64_t job_key) {
  const auto found = jobs_.find(job_key);
  if (found == jobs_.end() || found->second->finishing) return;
  Job* const job = found->second.get();
  job->finishing = true;
  job->last_byte_ns = BootTimeNanos();
  loop_->Cancel(job->timer);
  End(job_key, job);
}

void FollowedJobs::End(uint64_t job_key, Job* job) {
  // Asked before the look: what they wrote until they let go is then seen.
  const Holders holders = Either(job->out.FindHolders(), job->err.FindHolders());
  const bool any = Look(job_key, job);
  const int64_t now = BootTimeNanos();
  if (any) job->last_byte_ns = now;
  const bool all_told = job->out.told >= job->out.end() && job->err.told >= job->err.end();
  if (all_told && (holders == Holders::kNone || now >= job->last_byte_ns + kOutputSilenceNanos))
    return Close(job_key, holders);
  Schedule(job_key, job, kHeldLookNanos);
}

void FollowedJobs::Close(uint64_t job_key, Holders holders) {
  const auto found = jobs_.find(job_key);
  std::unique_ptr<Job> job = std::move(found->second);
  jobs_.erase(found);
  Spool::Closed closed;
  closed.stdout_bytes = job->out.told;
  closed.stderr_bytes = job->err.told;
  closed.stdout_begin = job->out.begin();
  closed.stderr_begin = job->err.begin();
  closed.dropped_bytes = job->out.dropped() + job->err.dropped();
  closed.held_open = holders == Holders::kSome;
  closed.held_open_unknown = holders == Holders::kUnknown;
  closed.truncated = job->out.truncated() || job->err.truncated();
  const uint64_t ends[2] = {closed.stdout_bytes, closed.stderr_bytes};
  if (const std::optional<SpoolSettings> settings = book_->Find(job_key))
    CutBehind(job_key, *settings, ends);
  // Most print nothing on one of the two, and many nothing at all.
  if (ends[0] + ends[1] == 0 && holders == Holders::kNone) {
    book_->Forget(job_key);
    files_->Remove(job_key);
  }
  listener_->OnOutputClosed(job_key, closed);
}

void FollowedJobs::CutBehind(uint64_t job_key, const SpoolSettings& settings,
                             const uint64_t (&ends)[2]) {
  book_->SetEnds(job_key, ends[0], ends[1]);
  auto job = std::make_unique<Job>(*files_, job_key, settings);
  const Holders holders = Either(job->out.FindHolders(), job->err.FindHolders());
  job->out.CutAt(ends[0]);
  job->err.CutAt(ends[1]);
  if (holders == Holders::kNone) {
    held_.erase(job_key);
    return;
  }
  job->timer = loop_->At({BootTimeNanos() + kCutNanos},
                         [this, job_key, settings, out = ends[0], err = ends[1]] {
                           // Forgotten, or freed, meanwhile: the file goes with those who have it
                           // open.
                           if (!book_->Find(job_key)) return void(held_.erase(job_key));
                           CutBehind(job_key, settings, {out, err});
                         });
  held_[job_key] = std::move(job);
}

}  // namespace brood
