// SPDX-License-Identifier: Apache-2.0
//
// The output of jobs: what is told of it, how it may end a job, and how much of it all is kept.
#include <algorithm>
#include <utility>

#include "agent/core/core.h"
#include "agent/core/limits.h"
#include "common/job/limits.h"

namespace brood {
namespace {

bool IsRing(const CoreJob& job) {
  return job.view.spec().output().overflow() == v1::OUTPUT_OVERFLOW_RING;
}

uint64_t StreamBytesMax(const CoreJob& job) {
  const uint64_t most = job.view.spec().output().stream_bytes_max();
  return most != 0 ? most : kStreamBytesDefault;
}

}  // namespace

void Core::OnOutput(Instant now, uint64_t job_key, v1::Stream stream, uint64_t offset,
                    uint64_t length, Batch* batch) {
  CoreJob* const job = Get(job_key);
  if (job == nullptr || job->output_closed) return;
  uint64_t& end = job->output_ends[stream == v1::STREAM_STDERR];
  end = std::max(end, offset + length);
  // The bytes may be here before the note of the start is.
  if (job->started()) TellOutput(now, job, batch);
}

void Core::TellOutput(Instant now, CoreJob* job, Batch* batch) {
  for (const v1::Stream stream : {v1::STREAM_STDOUT, v1::STREAM_STDERR}) {
    // What an earlier agent kept but did not live to say is said now too.
    uint64_t at = stream == v1::STREAM_STDOUT ? job->view.stdout_bytes() : job->view.stderr_bytes();
    const uint64_t end = job->output_ends[stream == v1::STREAM_STDERR];
    const uint64_t begin = IsRing(*job) ? end - std::min(end, StreamBytesMax(*job)) : 0;
    while (at < end) {
      // What has gone from a ring nobody can read: one event tells of all of it.
      const uint64_t part = at < begin ? begin - at : std::min(end - at, kOutputEventBytes);
      v1::Output* const output =
          Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_output();
      output->set_stream(stream);
      output->set_offset(at);
      output->set_length(part);
      Emit(job, batch);
      at += part;
    }
  }
  CountOutput(job);
  FreeOutputs(batch);
}

void Core::OnOutputLimit(Instant now, uint64_t job_key, v1::Stream stream, Batch* batch) {
  CoreJob* const job = Live(job_key);
  if (job == nullptr || job->over_limit != v1::STREAM_UNSPECIFIED) return;
  job->over_limit = stream;
  if (job->started()) TellOutputLimit(now, job, batch);
}

// What is being ended already ends for that.
void Core::TellOutputLimit(Instant now, CoreJob* job, Batch* batch) {
  if (job->over_limit == v1::STREAM_UNSPECIFIED || job->cause != v1::END_CAUSE_UNSPECIFIED) return;
  job->cause = v1::END_CAUSE_OUTPUT_LIMIT;
  v1::OutputLimit* const limit =
      Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_output_limit();
  limit->set_stream(job->over_limit);
  limit->set_limit(StreamBytesMax(*job));
  Emit(job, batch);
  Stop(now, job, batch);
}

// As far as it is told of; what somebody reads beyond is told of next.
void Core::CountOutput(CoreJob* job) {
  uint64_t taken = 0;
  for (uint64_t kept : {job->view.stdout_bytes(), job->view.stderr_bytes()}) {
    if (IsRing(*job)) kept = std::min(kept, StreamBytesMax(*job));
    taken += (kept + kDiskBlockBytes - 1) / kDiskBlockBytes * kDiskBlockBytes;
  }
  output_kept_ += taken - job->output_counted;
  job->output_counted = taken;
}

// Never that of the job which closed last: somebody may just be reading it.
void Core::FreeOutputs(Batch* batch) {
  while (options_.output_bytes_kept != 0 && output_kept_ > options_.output_bytes_kept &&
         closed_outputs_.size() > 1) {
    CoreJob* const job = Get(closed_outputs_.front());
    closed_outputs_.pop_front();
    output_kept_ -= std::exchange(job->output_counted, 0);
    batch->effects.push_back(ForgetJobEffect{job->key});
  }
}

void Core::OnOutputClosed(Instant now, uint64_t job_key, const v1::OutputClosed& closed,
                          Batch* batch) {
  CoreJob* const job = Get(job_key);
  if (job == nullptr) return;
  CloseOutput(now, job, closed, batch);
  CleanIfDone(now, job, batch);
}

}  // namespace brood
