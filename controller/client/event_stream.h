// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "brood/v1/job_service.pb.h"
#include "common/base/error.h"
#include "controller/client/connection.h"

namespace brood {

// Reads events of one host: WatchEvents. When a followed call breaks because the
// agent went away, it is made again from the last resume token, for as long as
// `patience` allows; no event is skipped or repeated. For one thread.
class EventStream {
 public:
  // How long a broken call is tried again before the stream ends with its error.
  static constexpr std::chrono::seconds kPatience{30};

  EventStream(Connection& connection, v1::WatchEventsRequest request,
              std::chrono::milliseconds patience = kPatience);
  ~EventStream();
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;

  // Blocks for the next events, in order; false at the end.
  bool NextBatch(v1::WatchEventsResponse* batch);
  // To go on strictly after what NextBatch gave; empty before the first.
  const std::string& resume_token() const { return request_.resume_token(); }

  // Any thread, any time: makes NextBatch return false.
  void BreakOff();
  // Once NextBatch has returned false: why. CANCELLED after BreakOff.
  Status Finish();

 private:
  struct Call;
  void Open();

  Connection& connection_;
  v1::WatchEventsRequest request_;
  const std::chrono::milliseconds patience_;
  const std::unique_ptr<Call> call_;
};

}  // namespace brood
