// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/core.h"
#include "brood/v1/job_service.pb.h"
#include "tests/simulation/world.h"

namespace brood::simulation {

// Who uses the host from afar: one submits jobs, again until it is answered, cancels and signals
// some; watchers follow all events and go on where they were. A model of controller/client.
class Clients {
 public:
  explicit Clients(World* world) : world_(world), kernel_(&world->kernel) {}

  void Start();
  // Empty once everything asked for is answered, every job that was taken is cleaned, and each
  // watcher has been handed all there is; else the first of these that is not so.
  std::string WhatIsNotDone() const;
  // The worst is over: connections stay, parents are not told to end.
  void Calm() { calm_ = true; }
  // Their connections are cut; what runs in them is repeated.
  void OnReboot();
  // What they know for the judge, and what they were handed that is not in the journal.
  void Tell(chaos::Observed* observed, std::vector<std::string>* breaches) const;

 private:
  struct Watcher {
    uint64_t epoch = 0;
    uint64_t cursor = 0;
    uint64_t connected_to = 0;                        // the agent's incarnation; 0: to none
    uint64_t life = 0;                                // of its connection
    std::vector<std::pair<uint64_t, uint32_t>> seen;  // cursors, and checksums of the events
  };
  // One request: `step` at the agent, `done` when its answer is here, `lost` when none will come.
  // `on_disk`: the answer waits for a sync.
  void Request(std::function<void(Core&, Instant, Batch*)> step, std::function<void()> done,
               std::function<void()> lost, bool on_disk = false);
  void PlanJobs();
  v1::JobSubmission MakeJob(const std::string& id, JobPlan* plan);
  void Submit(const std::vector<std::string>& ids, bool again);
  void Trouble(const std::string& id);
  void Cancel(const std::string& id);
  void Signal(const std::string& id, int signal);
  void KeepCallsParent();
  void EndAParent();
  void Pull(size_t index);
  void Resume(size_t index);

  World* const world_;
  Kernel* const kernel_;
  bool calm_ = false;
  uint64_t power_ = 0;  // grows with each reboot: what was begun before is not gone on with
  std::map<std::string, v1::JobSubmission> jobs_;
  std::set<std::string> open_;  // submitted and not answered
  std::set<std::string> acknowledged_;
  std::vector<Watcher> watchers_ = std::vector<Watcher>(2);
};

}  // namespace brood::simulation
