// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "brood/v1/job_service.pb.h"
#include "common/base/error.h"
#include "controller/client/connection.h"
#include "controller/client/resume_options.h"

namespace brood {

// Reads events of one host: WatchEvents. When the call breaks it is made again from the last
// resume token (resume_options.h): no event is skipped or repeated. GAPs, by which the agent tells
// of events that are no longer kept, are handed on. For one thread.
class EventStream {
 public:
  EventStream(Connection& connection, v1::WatchEventsRequest request, ResumeOptions options = {});
  ~EventStream();
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;

  // Blocks for the next events, in order; false at the end.
  bool NextBatch(v1::WatchEventsResponse* batch);
  // To go on strictly after what NextBatch gave; empty before the first.
  const std::string& resume_token() const;

  // Any thread, any time: makes NextBatch return false.
  void BreakOff();
  // Once NextBatch has returned false: why. CANCELLED after BreakOff.
  Status Finish();

 private:
  struct Call;
  const std::unique_ptr<Call> call_;
};

}  // namespace brood
