// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/rpc/journal_stream.h"

namespace brood {

// One WatchMemory call.
class MemoryStream final : public JournalStream {
 public:
  // Lives until OnDone.
  static MemoryStream* Start(Agent* agent, StreamWatch* streams,
                             grpc::CallbackServerContext* context, const grpc::ByteBuffer& request);

 private:
  using JournalStream::JournalStream;
  Status Check(const v1::WatchMemoryRequest& request);
  void Watch(const v1::WatchMemoryRequest& request);
  void OnReady(const Result<Agent::WatchedParent>& watched, bool resumed);
  bool Wants(uint64_t job_key, int field, std::string_view event) override;
  bool Over(bool) const override { return parent_ended_; }
  // Its parent may have ended there; its feed goes on as long as the client wants it.
  void Skipped(uint64_t) override {}
  void Release() override;

  std::unordered_set<std::string> cells_;  // empty: all
  ParentKey parent_;                       // set before it runs
  bool parent_ended_ = false;              // the pumper's alone

  absl::Mutex watch_mutex_;
  bool released_ ABSL_GUARDED_BY(watch_mutex_) = false;
  std::optional<Agent::WatchedParent> watched_ ABSL_GUARDED_BY(watch_mutex_);
};

}  // namespace brood
