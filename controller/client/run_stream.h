// SPDX-License-Identifier: Apache-2.0
#pragma once

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

  // `include_output`: OUTPUT events carry their bytes.
  RunStream(Connection& connection, bool include_output);
  ~RunStream();
  RunStream(const RunStream&) = delete;
  RunStream& operator=(const RunStream&) = delete;

  // Sends the jobs, in messages of at most kBatchMax. An error means that the call
  // is broken; Finish says why.
  Status Submit(const std::vector<v1::JobSubmission>& jobs);
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
