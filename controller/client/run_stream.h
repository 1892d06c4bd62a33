// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "brood/v1/job_service.pb.h"
#include "common/base/error.h"
#include "controller/client/connection.h"
#include "controller/client/resume_options.h"

namespace brood {

// Submits jobs to one host and reads their events: RunJobs. When the call breaks it is made again
// (resume_options.h): what was not answered is submitted again under the same ids, which starts
// each job once, and the events of the others go on where they were. Each event is handed on once,
// those of one job in order. GAPs are handed on. One thread may submit while another reads.
// Destroying it breaks the call off; the jobs go on.
class RunStream {
 public:
  // `include_output`: OUTPUT events carry their bytes.
  RunStream(Connection& connection, bool include_output, ResumeOptions options = {});
  ~RunStream();
  RunStream(const RunStream&) = delete;
  RunStream& operator=(const RunStream&) = delete;

  // Queues the jobs; waits while many are queued. They are sent while somebody reads. An error
  // means that the stream has ended; Finish says why.
  Status Submit(std::vector<v1::JobSubmission> jobs);
  // No more jobs: the stream ends when all of its jobs are cleaned.
  void CloseSubmissions();

  // What arrives: first the answer to a submission, then events.
  using Item = std::variant<v1::SubmittedJob, v1::Event>;
  // Blocks for the next one; nothing when the stream has ended.
  std::optional<Item> Next();
  // Blocks for the next message, without what was handed on before; false when the stream has
  // ended. Not to be mixed with Next.
  bool NextBatch(v1::RunJobsResponse* batch);

  // Any thread, any time: makes Next and Submit return.
  void BreakOff();
  // Once Next has ended: how the stream ended.
  Status Finish();

 private:
  struct Call;
  const std::unique_ptr<Call> call_;
  v1::RunJobsResponse batch_;
  int next_accepted_ = 0;
  int next_event_ = 0;
};

}  // namespace brood
