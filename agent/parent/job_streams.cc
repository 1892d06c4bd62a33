// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/job_streams.h"

#include <utility>

#include "agent/parent/limits.h"

namespace brood {

void JobStreams::Keep(uint64_t job_key, JobPipes* pipes) {
  Kept kept;
  kept.input_write = std::move(pipes->input_write);
  kept.output_read = std::move(pipes->output_read);
  kept.error_read = std::move(pipes->error_read);
  // What goes to files is nothing to hand on.
  if (!kept.input_write && !kept.output_read) return;
  const std::lock_guard lock(mutex_);
  kept_.insert_or_assign(job_key, std::move(kept));
}

// Under the lock from choosing to sending: a new connection's AnnounceAll and a
// job's own Announce must not both send it there.
void JobStreams::SendLocked(std::vector<std::pair<uint64_t, Kept*>>* batch) {
  if (batch->empty()) return;
  internal::v1::FromParent frame;
  std::vector<int> fds;
  for (const auto& [job_key, kept] : *batch) {
    internal::v1::Streams* const streams = frame.add_streams();
    streams->set_job_key(job_key);
    if (kept->input_write) {
      streams->set_input(true);
      fds.push_back(kept->input_write.get());
    }
    if (!kept->output_read) continue;
    streams->set_output(true);
    fds.push_back(kept->output_read.get());
    fds.push_back(kept->error_read.get());
  }
  const uint64_t connection = agent_->SendToAgent(frame, fds);
  if (connection != 0) {
    for (const auto& [job_key, kept] : *batch) {
      kept->sent_on = connection;
      // The agent's alone: when it closes it, the job sees the end of its input.
      kept->input_write.reset();
    }
  }
  batch->clear();
}

void JobStreams::Announce(const std::vector<uint64_t>& job_keys) {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<uint64_t, Kept*>> batch;
  for (const uint64_t job_key : job_keys) {
    const auto found = kept_.find(job_key);
    if (found == kept_.end() || found->second.sent_on != 0) continue;
    batch.emplace_back(job_key, &found->second);
    if (batch.size() == kJobsPerStreamsFrame) SendLocked(&batch);
  }
  SendLocked(&batch);
}

void JobStreams::AnnounceAll(uint64_t connection) {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<uint64_t, Kept*>> batch;
  for (auto& [job_key, kept] : kept_) {
    if (kept.sent_on == connection) continue;
    batch.emplace_back(job_key, &kept);
    if (batch.size() == kJobsPerStreamsFrame) SendLocked(&batch);
  }
  SendLocked(&batch);
}

void JobStreams::Drop(uint64_t job_key) {
  const std::lock_guard lock(mutex_);
  kept_.erase(job_key);
}

}  // namespace brood
