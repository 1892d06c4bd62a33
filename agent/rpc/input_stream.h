// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/host/agent.h"
#include "brood/v1/job_service.pb.h"

namespace brood {

// One WriteInput call: reads a chunk, writes it as the job takes it, reads the
// next: the job's own pace is the flow control.
class InputChunks final : public grpc::ServerReadReactor<v1::WriteInputRequest>,
                          public std::enable_shared_from_this<InputChunks> {
 public:
  // Lives until OnDone.
  static InputChunks* Start(Agent* agent, v1::WriteInputResponse* response);

  void OnReadDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { self_.reset(); }

 private:
  InputChunks(Agent* agent, v1::WriteInputResponse* response)
      : agent_(agent), response_(response) {}
  Status FindJob();
  void OnWritten(size_t size, JobInputs::Taken taken);
  // All is written, or the job takes no more: the count tells.
  void EndWell();
  void End(const grpc::Status& status);

  Agent* const agent_;
  v1::WriteInputResponse* const response_;
  std::shared_ptr<InputChunks> self_;
  v1::WriteInputRequest request_;
  std::string job_id_;
  uint64_t job_key_ = 0;
  absl::Mutex mutex_;
  uint64_t written_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace brood
