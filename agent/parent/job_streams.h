// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "agent/parent/job_pipes.h"
#include "brood/internal/v1/frames.pb.h"

namespace brood {

// Where frames to the agent go. Thread-safe.
class AgentFrames {
 public:
  virtual ~AgentFrames() = default;
  // Sends on the main connection; the number of that connection, 0 if there is none.
  virtual uint64_t SendToAgent(const internal::v1::FromParent& frame,
                               const std::vector<int>& fds) = 0;
};

// Keeps our ends of the jobs' streams until the agent has drained them, and hands
// them to it: once to each agent that comes. Thread-safe.
class JobStreams {
 public:
  explicit JobStreams(AgentFrames* agent) : agent_(agent) {}

  // Takes the agent's ends out of `pipes`. They are sent by Announce.
  void Keep(uint64_t job_key, JobPipes* pipes);

  // Sends these jobs' streams, kJobsPerStreamsFrame in a frame, if an agent is
  // there; else AnnounceAll does later.
  void Announce(const std::vector<uint64_t>& job_keys);

  // A new agent is at `connection`: sends all that are kept and were not sent there yet.
  void AnnounceAll(uint64_t connection);

  // The agent is done, or the job never started.
  void Drop(uint64_t job_key);

 private:
  struct Kept {
    UniqueFd input_write;  // gone once it has been sent
    UniqueFd output_read;
    UniqueFd error_read;
    uint64_t sent_on = 0;  // the connection it was sent on last
  };
  void SendLocked(std::vector<std::pair<uint64_t, Kept*>>* batch);

  AgentFrames* const agent_;
  std::mutex mutex_;
  std::map<uint64_t, Kept> kept_;  // guarded by mutex_
};

}  // namespace brood
