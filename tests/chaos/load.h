// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "brood/v1/job_service.grpc.pb.h"
#include "tests/chaos/judge.h"

namespace brood::chaos {

// Clients of one agent that goes and comes again: some submit jobs of every kind and now and then
// cancel one, again and again until they are answered; some watch all events, and go on by their
// resume token whenever their stream ends. All choices follow from the seed, but for what the
// scheduler decides.
class Load {
 public:
  // `parent` has the task chaos.work.
  Load(std::string socket_path, std::string ledger_path, std::string parent, uint64_t seed);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // From now on the parent may be away: who is refused for it has not submitted anything.
  void ExpectParentToDie() { parent_dies_ = true; }
  // From now on the journal may be in trouble: who is refused for it tries again.
  void ExpectRefusals() { refuses_ = true; }
  // At most so many jobs under way, instead of what keeps all slots and their lines full.
  void LimitOpen(size_t most) { open_max_ = most; }
  void Start(int submitters, int watchers);
  // Until a watcher was handed so many more events; false after half a minute.
  bool WaitForEvents(uint64_t more);
  uint64_t CountEvents();
  // No more submissions; true once every job that was submitted has been seen to its end.
  bool IsDone();
  // Until every job that was submitted has been seen to its end; those that were not, after a
  // while.
  std::set<std::string> Finish();
  // Ends the watchers once they have been handed event `head`.
  void EndWatchers(uint64_t head);

  // After EndWatchers: plans, acknowledged and watchers.
  Observed Take();
  // What no client should have met.
  const std::vector<std::string>& errors() const { return errors_; }

 private:
  using Random = std::mt19937_64;
  void Submit(uint64_t seed);
  void Watch(size_t index, uint64_t seed);
  v1::SubmitJobsRequest Make(Random* random, std::vector<std::string>* to_cancel);
  v1::JobSubmission MakeJob(const std::string& id, bool cancelled, Random* random,
                            Plan* plan) const;
  void Cancel(v1::JobService::Stub* stub, const std::vector<std::string>& ids);
  bool IsShut(const v1::SubmitJobsResponse& response) const;
  void AddError(const std::string& error);

  const std::string socket_path_;
  const std::string ledger_path_;
  const std::string parent_;
  const uint64_t seed_;
  std::atomic<bool> parent_dies_{false};
  std::atomic<bool> refuses_{false};
  std::atomic<bool> submitting_{true};
  std::atomic<bool> abandoned_{false};
  size_t open_max_;
  std::atomic<uint64_t> target_{0};             // head to be reached; 0: not known yet
  std::atomic<int64_t> give_up_ns_{INT64_MAX};  // when who has not reached it never will
  std::vector<std::thread> submitters_;
  std::vector<std::thread> watchers_;

  std::mutex mutex_;
  std::condition_variable changed_;
  Observed observed_;           // guarded by mutex_
  std::set<std::string> open_;  // submitted and not cleaned; guarded by mutex_
  uint64_t seen_ = 0;           // events the first watcher was handed; guarded by mutex_
  uint64_t next_job_ = 0;       // guarded by mutex_
  std::vector<std::string> errors_;
  std::vector<grpc::ClientContext*> reading_;  // of each watcher; guarded by mutex_
};

}  // namespace brood::chaos
