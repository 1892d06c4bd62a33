// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/host/agent.h"
#include "agent/rpc/write_watch.h"
#include "brood/v1/job_service.pb.h"

namespace brood {

// One ReadOutput call: an offset and at most one chunk in flight.
class OutputChunks final : public grpc::ServerWriteReactor<v1::ReadOutputResponse>,
                           public EventReader,
                           public std::enable_shared_from_this<OutputChunks> {
 public:
  // Lives until OnDone.
  static OutputChunks* Start(Agent* agent, StreamWatch* streams,
                             grpc::CallbackServerContext* context,
                             const v1::ReadOutputRequest& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void OnMore() override { Pump(); }

 private:
  explicit OutputChunks(Agent* agent) : agent_(agent) {}
  Status Begin(const v1::ReadOutputRequest& request);
  // How far it has come, by what was told of it.
  struct Course {
    bool closed = true;
    uint64_t end = 0;
  };
  Course FindCourse() const;
  void OnSlow();
  void Pump();
  void End(const grpc::Status& status);

  Agent* const agent_;
  std::shared_ptr<OutputChunks> self_;
  std::shared_ptr<WriteWatch> write_;
  v1::ReadOutputResponse response_;
  uint64_t job_key_ = 0;
  OutputStream stream_ = OutputStream::kStdout;
  uint64_t offset_ = 0;  // the pumper's alone
  bool follow_ = false;

  absl::Mutex mutex_;
  bool pumping_ ABSL_GUARDED_BY(mutex_) = false;
  bool again_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace brood
