// SPDX-License-Identifier: Apache-2.0
//
// Builds streams of events for tests, numbered as an agent would.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "brood/v1/event.pb.h"

namespace brood::testing {

class EventStream {
 public:
  // The next event of a job, with a right envelope and no payload.
  v1::Event Next(const std::string& job_id) {
    v1::Event event = Envelope();
    event.set_job_id(job_id);
    event.set_seq(++seqs_[job_id]);
    event.set_attempt(attempts_[job_id]);
    event.mutable_unit()->set_mode(mode);
    event.mutable_unit()->set_parent("default");
    return event;
  }
  v1::Event OfParent(const std::string& name, uint64_t incarnation) {
    v1::Event event = Envelope();
    event.set_seq(++seqs_[name + "#" + std::to_string(incarnation)]);
    event.mutable_unit()->set_parent(name);
    event.mutable_incarnations()->set_parent(incarnation);
    return event;
  }

  v1::Event Received(const std::string& job_id) {
    v1::Event event = Next(job_id);
    event.mutable_received();
    return event;
  }
  v1::Event Starting(const std::string& job_id) {
    ++attempts_[job_id];
    v1::Event event = Next(job_id);
    event.mutable_starting()->set_mode(mode);
    event.mutable_starting()->set_reason("asked for");
    return event;
  }
  v1::Event Started(const std::string& job_id) {
    v1::Event event = Next(job_id);
    event.mutable_unit()->set_pid(42);
    event.mutable_unit()->set_ppid(7);
    event.mutable_unit()->set_tid(mode == v1::MODE_THREAD ? 43 : 42);
    event.mutable_incarnations()->set_parent(3);
    event.mutable_started();
    return event;
  }
  v1::Event Output(const std::string& job_id, v1::Stream stream, uint64_t offset, uint64_t length) {
    v1::Event event = Next(job_id);
    event.mutable_output()->set_stream(stream);
    event.mutable_output()->set_offset(offset);
    event.mutable_output()->set_length(length);
    return event;
  }
  v1::Event Exited(const std::string& job_id, int code) {
    v1::Event event = Next(job_id);
    event.mutable_exited()->set_exit_code(code);
    return event;
  }
  v1::Event Closed(const std::string& job_id, uint64_t out, uint64_t err) {
    v1::Event event = Next(job_id);
    event.mutable_output_closed()->set_stdout_bytes(out);
    event.mutable_output_closed()->set_stderr_bytes(err);
    return event;
  }
  v1::Event Cleaned(const std::string& job_id) {
    v1::Event event = Next(job_id);
    event.mutable_cleaned();
    return event;
  }

  v1::Mode mode = v1::MODE_FORK;

 private:
  v1::Event Envelope() {
    v1::Event event;
    event.set_cursor(++cursor_);
    event.set_host("local");
    event.set_observer(v1::OBSERVER_AGENT);
    event.set_evidence(v1::EVIDENCE_SEEN);
    event.mutable_wall()->set_seconds(1'000'000 + static_cast<int64_t>(cursor_));
    return event;
  }

  uint64_t cursor_ = 0;
  std::map<std::string, uint64_t> seqs_;
  std::map<std::string, uint32_t> attempts_;
};

}  // namespace brood::testing
