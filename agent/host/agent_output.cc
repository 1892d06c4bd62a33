// SPDX-License-Identifier: Apache-2.0
//
// The output of jobs between the core, which decides, and the spool, which keeps.
#include <cerrno>
#include <vector>

#include "agent/host/agent.h"

namespace brood {
namespace {

v1::Stream Of(OutputStream stream) {
  return stream == OutputStream::kStdout ? v1::STREAM_STDOUT : v1::STREAM_STDERR;
}

SpoolSettings SettingsOf(const v1::OutputSettings& output) {
  SpoolSettings settings;
  if (output.target() == v1::OUTPUT_TARGET_FILE) settings.target = SpoolSettings::Target::kFile;
  if (output.overflow() == v1::OUTPUT_OVERFLOW_RING)
    settings.overflow = SpoolSettings::Overflow::kRing;
  if (output.overflow() == v1::OUTPUT_OVERFLOW_END)
    settings.overflow = SpoolSettings::Overflow::kEnd;
  settings.stream_bytes_max =
      output.stream_bytes_max() != 0 ? output.stream_bytes_max() : kSpoolStreamBytesMax;
  return settings;
}

}  // namespace

bool Agent::PrepareOutput(StartJobEffect* start) {
  if (!start->output) return true;
  const uint64_t job_key = start->job.job_key();
  const SpoolSettings settings = SettingsOf(*start->output);
  FailedFact failed;
  // Its agent may have said at the submission that it can.
  const bool frees = settings.is_ring() ||
                     (settings.is_file() && settings.overflow == SpoolSettings::Overflow::kDrop);
  if (frees && !spool_->can_free()) {
    failed.error_number = EOPNOTSUPP;
    failed.message =
        "the file system of '" + options_.state_directory +
        "' cannot free a part of a file, which a ring, and a file that a job writes itself up to a "
        "limit, need; ask for the target PIPE and the overflow DROP or END";
  } else if (const Status bad = spool_->Prepare(job_key, settings)) {
    failed.message = "the files of its output cannot be made: " + bad->message;
  } else {
    if (!settings.is_file()) return true;
    start->job.set_output_file(spool_->Path(job_key, OutputStream::kStdout));
    start->job.set_error_file(spool_->Path(job_key, OutputStream::kStderr));
    loop_->Post([this, job_key] { spool_->Follow(job_key); });
    return true;
  }
  failed.step = "output";
  RefuseStart(start->job, std::move(failed));
  return false;
}

void Agent::RefuseStart(const internal::v1::StartJob& job, FailedFact failed) {
  failed.job_key = job.job_key();
  failed.attempt = job.attempt();
  sequencer_->Step(
      [&](Core& core, Instant now, Batch* batch) { core.OnFailedToStart(now, failed, batch); });
  // What follows an end is done after a round of the loop.
  loop_->Post([] {});
}

// Of jobs that write their files themselves, and did so while no agent lived.
void Agent::FindOutputs() {
  struct Ends {
    uint64_t key;
    bool closed;
    uint64_t out;
    uint64_t err;
  };
  std::vector<Ends> jobs;
  sequencer_->Look([&](const Core& core) {
    for (const auto& [job_key, job] : core.jobs()) {
      if (!spool_->IsFile(job_key)) continue;
      jobs.push_back(
          Ends{job_key, job->output_closed, job->view.stdout_bytes(), job->view.stderr_bytes()});
    }
  });
  for (const Ends& job : jobs) {
    if (job.closed) {
      spool_->Settle(job.key, job.out, job.err);
    } else {
      spool_->Follow(job.key);
    }
  }
}

void Agent::OnOutput(uint64_t job_key, OutputStream stream, uint64_t offset, uint64_t length) {
  sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
    core.OnOutput(now, job_key, Of(stream), offset, length, batch);
  });
}

void Agent::OnOutputClosed(uint64_t job_key, const Spool::Closed& closed) {
  v1::OutputClosed event;
  event.set_stdout_bytes(closed.stdout_bytes);
  event.set_stderr_bytes(closed.stderr_bytes);
  event.set_dropped_bytes(closed.dropped_bytes);
  event.set_held_open(closed.held_open);
  event.set_held_open_unknown(closed.held_open_unknown);
  event.set_stdout_begin(closed.stdout_begin);
  event.set_stderr_begin(closed.stderr_begin);
  event.set_may_be_cut(lives_.TakeMaybeCut(job_key) || closed.truncated);
  sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
    core.OnOutputClosed(now, job_key, event, batch);
  });
}

void Agent::OnOutputLimit(uint64_t job_key, OutputStream stream) {
  sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
    core.OnOutputLimit(now, job_key, Of(stream), batch);
  });
}

}  // namespace brood
