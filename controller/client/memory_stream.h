// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "brood/v1/parent_service.pb.h"
#include "common/base/error.h"
#include "controller/client/connection.h"

namespace brood {

// Watches cells of a parent: WatchMemory. Not made again when it breaks: what is
// written while nobody watches makes no events, so a new call is a new watch. For
// one thread.
class MemoryStream {
 public:
  MemoryStream(Connection& connection, v1::WatchMemoryRequest request);
  ~MemoryStream();
  MemoryStream(const MemoryStream&) = delete;
  MemoryStream& operator=(const MemoryStream&) = delete;

  // Blocks for the next response; false at the end. The first has no events: from
  // then on no write is missed.
  bool NextBatch(v1::WatchMemoryResponse* batch);

  // Any thread, any time: makes NextBatch return false.
  void BreakOff();
  // Once NextBatch has returned false: why. Ok if the parent ended.
  Status Finish();

 private:
  struct Call;
  Connection& connection_;
  const std::unique_ptr<Call> call_;
};

}  // namespace brood
