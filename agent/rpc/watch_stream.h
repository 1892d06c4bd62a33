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
  static WatchStream* Start(Agent* agent, const grpc::ByteBuffer& request);

 private:
  explicit WatchStream(Agent* agent) : JournalStream(agent) {}
  Status Begin(const v1::WatchEventsRequest& request);
  bool Wants(uint64_t job_key, int field, std::string_view event) override;
  bool Over() const override;
  void Release() override;

  bool by_job_ = false;
  bool only_new_ = false;
  std::string run_id_;
  std::vector<uint64_t> watched_;
  std::unordered_set<uint64_t> jobs_;
  // The pumper's alone once it runs.
  std::unordered_set<uint64_t> uncleaned_;
};

}  // namespace brood
