// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "brood/v1/parent_service.pb.h"
#include "common/base/error.h"
#include "controller/client/connection.h"
#include "controller/client/resume_options.h"

namespace brood {

// Watches cells of a parent: WatchMemory. When the call breaks it is made again
// (resume_options.h). What is written meanwhile makes no events where nobody else watches:
// a GAP with observer CONTROLLER and no cursors says so. For one thread.
class MemoryStream {
 public:
  MemoryStream(Connection& connection, v1::WatchMemoryRequest request, ResumeOptions options = {});
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
  const std::unique_ptr<Call> call_;
};

}  // namespace brood
