// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "brood/v1/job_service.pb.h"
#include "common/base/error.h"
#include "controller/client/connection.h"

namespace brood {

// Submits jobs to one host and reads their events: one RunJobs call. One thread
// may submit while another reads. Destroying it breaks the call off; the jobs go on.
class RunStream {
 public:
  // The largest batch of one message, as the API states it.
  static constexpr size_t kBatchMax = 64;
  // Of several jobs in one message; a job by itself may be larger. A message may have 1 MiB.
  static constexpr size_t kBatchBytesMax = 512 << 10;
  // Moves a job from the front of `jobs` to `request`, as long as there are any and it takes more.
  static void FillRequest(std::deque<v1::JobSubmission>* jobs,
                          google::protobuf::RepeatedPtrField<v1::JobSubmission>* request);

  // `include_output`: OUTPUT events carry their bytes.
  RunStream(Connection& connection, bool include_output);
  ~RunStream();
  RunStream(const RunStream&) = delete;
  RunStream& operator=(const RunStream&) = delete;

  // Sends the jobs, in as many messages as they take. An error means that the call
  // is broken; Finish says why.
  Status Submit(std::vector<v1::JobSubmission> jobs);
  // No more jobs: the call ends when all of its jobs are cleaned.
  void CloseSubmissions();

  // What arrives: first the answer to a submission, then events.
  using Item = std::variant<v1::SubmittedJob, v1::Event>;
  // Blocks for the next one; nothing when the call has ended.
  std::optional<Item> Next();
  // Blocks for the next message as it was sent; false when the call has ended.
  // Not to be mixed with Next.
  bool NextBatch(v1::RunJobsResponse* batch);

  // Any thread, any time: makes Next and Submit return.
  void BreakOff();
  // Once Next has ended: how the call ended.
  Status Finish();

 private:
  struct Call;
  const std::unique_ptr<Call> call_;
  v1::RunJobsResponse batch_;
  int next_accepted_ = 0;
  int next_event_ = 0;
};

}  // namespace brood
