// SPDX-License-Identifier: Apache-2.0
//
// Jobs that are held to limits as a whole: their control groups, from before the start until
// nothing lives in them.
#include <algorithm>
#include <utility>
#include <vector>

#include "agent/host/agent.h"
#include "common/base/clock.h"

namespace brood {
namespace {

// Processes that a job left behind may live on in its group for long: looked at now and then.
constexpr int64_t kGroupsRetryNanos = 500'000'000;

}  // namespace

bool Agent::PrepareLimits(StartJobEffect* start) {
  if (!start->memory_bytes && !start->processes) return true;
  Result<std::vector<std::string>> files = limit_groups_->Make(
      start->job.job_key(), LimitGroups::Limits{start->memory_bytes, start->processes});
  if (files) {
    for (std::string& file : *files) start->job.add_groups(std::move(file));
    return true;
  }
  FailedFact failed;
  failed.step = "limits";
  failed.message = files.error().message;
  RefuseStart(start->job, std::move(failed));
  return false;
}

void Agent::RemoveLimitGroups() {
  std::vector<uint64_t> ended = limit_groups_->jobs();
  if (ended.empty()) return;
  sequencer_->Look([&](const Core& core) {
    std::erase_if(ended, [&core](uint64_t job_key) {
      const CoreJob* const job = core.Find(job_key);
      return job != nullptr && !job->ended;
    });
  });
  if (limit_groups_->Remove(ended) || groups_timer_ != 0) return;
  groups_timer_ = loop_->At(BootTime{BootTimeNanos() + kGroupsRetryNanos}, [this] {
    groups_timer_ = 0;
    RemoveLimitGroups();
  });
}

}  // namespace brood
