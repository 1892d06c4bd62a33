// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/host/agent.h"
#include "agent/rpc/event_page.h"
#include "brood/v1/job_service.pb.h"

namespace brood {

// One WatchEvents call: a cursor and at most one write in flight. A reader that
// stops reading costs one response; it is the journal that waits for it.
class WatchStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                          public EventReader,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  // Lives until OnDone.
  static WatchStream* Start(Agent* agent, const grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void OnMore() override { Pump(); }

 private:
  explicit WatchStream(Agent* agent) : agent_(agent), pages_(agent->journal(), agent->spool()) {}
  Status Begin(const v1::WatchEventsRequest& request);
  void Pump();
  std::string GapResponse(uint64_t first, uint64_t last) const;
  void End(const grpc::Status& status);

  Agent* const agent_;
  const EventPages pages_;
  std::shared_ptr<WatchStream> self_;
  grpc::ByteBuffer response_;
  bool include_output_ = false;
  bool follow_ = false;
  bool by_job_ = false;
  std::string run_id_;
  std::vector<uint64_t> watched_;

  // The pumper's alone.
  uint64_t cursor_ = 0;
  std::unordered_set<uint64_t> uncleaned_;
  std::unordered_set<uint64_t> jobs_;

  absl::Mutex mutex_;
  bool pumping_ ABSL_GUARDED_BY(mutex_) = false;
  bool again_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace brood
