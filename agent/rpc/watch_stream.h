// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/rpc/journal_stream.h"

namespace brood {

// One WatchEvents call.
class WatchStream final : public JournalStream {
 public:
  // Lives until OnDone.
  static WatchStream* Start(Agent* agent, StreamWatch* streams,
                            grpc::CallbackServerContext* context, const grpc::ByteBuffer& request);

 private:
  using JournalStream::JournalStream;
  Status Begin(const v1::WatchEventsRequest& request);
  bool Wants(uint64_t job_key, int field, std::string_view event) override;
  bool Over(bool at_head) const override;
  void Skipped(uint64_t until) override;
  void Release() override;

  bool by_job_ = false;
  bool only_new_ = false;
  std::string run_id_;
  std::vector<uint64_t> watched_;
  std::unordered_set<uint64_t> jobs_;
  // The pumper's alone once it runs.
  std::unordered_set<uint64_t> uncleaned_;
  // Of those: jobs that were cleaned so long ago that the core has forgotten them. Nothing of them
  // comes after the head.
  std::unordered_set<uint64_t> forgotten_;
};

}  // namespace brood
