// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "brood/v1/job_service.pb.h"
#include "common/base/backoff.h"
#include "common/base/error.h"

// How a stream goes on over calls that break. Pure: no clock, thread, random number or
// network; times are nanoseconds of any clock that does not jump, and given. What sends and
// receives is elsewhere.
namespace brood {

// Whether a call that ended so is made again from where it was. `from_agent`: the agent said
// it, with details; else the transport did. Only the loss of the link is: UNAVAILABLE;
// what the transport makes of a reset or cut connection (CANCELLED, UNKNOWN, INTERNAL); and
// SLOW_READER, with which an agent ends a stream that its client did not read.
bool IsLostLink(const Error& error, bool from_agent);

// That the agent at that target ended the call of a run with OK before its jobs had ended.
Error EndedEarly(const std::string& target);
// That who reads has broken it off: `what` is "run" or "stream".
Error BrokenOff(const std::string& what);

// How long a lost link is tried again.
struct ResumePolicy {
  int64_t first_pause_ns = 50'000'000;
  // A longer wait would be felt: an agent that was restarted is back within a second.
  int64_t longest_pause_ns = 1'000'000'000;
  // A host that cannot be reached for so long is given up.
  int64_t give_up_after_ns = 30'000'000'000;
  // One that was never reached: the address may be wrong, and nothing is at stake yet.
  int64_t give_up_unreached_ns = 1'000'000'000;
  // A call that held for so long is no part of a row of failures.
  int64_t held_ns = 5'000'000'000;
  // Failures in a row, with nothing new between them, before it is given up though the host can be
  // reached: something breaks each call.
  int failures_max = 200;
};

// When to try again, and when to stop trying.
class Retries {
 public:
  explicit Retries(const ResumePolicy& policy)
      : policy_(policy), backoff_(policy.first_pause_ns, policy.longest_pause_ns) {}

  // The agent has taken the present call. True if the link had been announced as lost.
  bool OnConnected(int64_t now_ns);
  // Something new arrived on it.
  void OnProgress();

  struct Next {
    // The pause before the next try; absent: it is over, with the call's own end.
    std::optional<int64_t> pause_ns;
    // The link is now known to be lost, for people: the first try to get it back has failed. Said
    // once until OnConnected.
    bool announce = false;
  };
  // The call ended with an error. `random` is any.
  Next OnEnd(const Error& error, bool from_agent, int64_t now_ns, uint64_t random);

 private:
  const ResumePolicy policy_;
  Backoff backoff_;
  bool reached_ = false;
  bool announced_ = false;
  std::optional<int64_t> connected_at_ns_;
  std::optional<int64_t> lost_since_ns_;
  int failures_ = 0;  // in a row
};

// What a run knows of its jobs: what is to be sent, on a new call again, and what was seen.
class RunResume {
 public:
  // The largest batch of one message, as the API states it.
  static constexpr size_t kBatchMax = 64;
  // Of several jobs in one message; a job by itself may be larger. A message may have 1 MiB.
  static constexpr size_t kBatchBytesMax = 512 << 10;
  // Ids in one message.
  static constexpr int kFollowMax = 1'024;
  // Moves a job from the front of `jobs` to `request`, as long as there are any and it takes more.
  static void FillRequest(std::deque<v1::JobSubmission>* jobs,
                          google::protobuf::RepeatedPtrField<v1::JobSubmission>* request);

  explicit RunResume(bool include_output) : include_output_(include_output) {}

  // One more job to submit; an id is submitted once.
  void Submit(v1::JobSubmission job);
  // No more jobs will be.
  void Close() { closed_ = true; }

  // Jobs that wait to be sent.
  size_t queued() const { return to_send_.size(); }

  // The next message for the present call; false if there is none now.
  bool NextRequest(v1::RunJobsRequest* request);
  bool HasRequest() const { return following_ || !to_follow_.empty() || !to_send_.empty(); }
  // All was sent, and no more will be: the client's side of the call can be closed.
  bool AllSent() const { return closed_ && !HasRequest(); }

  // A message arrived: takes out of it what was handed on before.
  void OnResponse(v1::RunJobsResponse* response);
  // The call broke: the next ones to send are those for a new call.
  void OnBroken();
  // Whether an end of the call with OK is the end of the run: all is answered and cleaned.
  bool Complete() const {
    return closed_ && unanswered_.empty() && to_send_.empty() && open_.empty();
  }

  // To go on with by hand: the token of what was seen.
  const std::string& resume_token() const { return resume_token_; }

 private:
  const bool include_output_;
  bool closed_ = false;
  std::string resume_token_;
  std::deque<std::string> to_follow_;
  bool following_ = false;  // a message that ends them is due
  std::deque<v1::JobSubmission> to_send_;
  // Sent on this call, in order, and not answered.
  std::deque<v1::JobSubmission> unanswered_;
  // Accepted and not cleaned: the cursor of the last event seen, 0 before the first.
  std::unordered_map<std::string, uint64_t> open_;
};

}  // namespace brood
