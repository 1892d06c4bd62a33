// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "brood/v1/host_service.pb.h"
#include "brood/v1/job_service.pb.h"
#include "brood/v1/parent_service.pb.h"

namespace brood::testing {

// What a fake agent does with one job, said by the test. The numbers, ids and the
// host of the events are filled in.
struct FakeJob {
  v1::SubmittedJob refusal;       // refused if error_code is set
  std::vector<v1::Event> events;  // sent at once
  bool until_cancelled = false;   // then waits for CancelJobs …
  bool until_input_end = false;   // … or for the end of WriteInput; the bytes become output
  std::vector<v1::Event> ending;  // sent after that
};

// Events, shortly.
v1::Event OutEvent(const std::string& bytes);
v1::Event ErrEvent(const std::string& bytes);
v1::Event ExitedEvent(int code);
v1::Event SignaledEvent(int signal, v1::EndCause cause);
v1::Event ReturnedEvent(const v1::Value& value);
// RECEIVED, STARTING, STARTED; OUTPUT_CLOSED, CLEANED.
std::vector<v1::Event> Beginning();
std::vector<v1::Event> Closing();
// A whole job: its beginning, these events, its closing.
FakeJob Ends(const std::vector<v1::Event>& events);
// A whole job that exits.
FakeJob Exits(int code, const std::string& out = "", const std::string& err = "");
// A job that runs until it is cancelled, and then dies of SIGTERM.
FakeJob RunsUntilCancelled(const std::string& out = "");

// An agent that runs nothing: a JobService (and what else the CLI asks) on a unix
// socket, in this process, whose jobs do what the test says. Thread-safe.
class FakeAgent {
 public:
  using Script = std::function<FakeJob(const v1::JobSubmission&)>;
  FakeAgent(const std::string& socket_path, std::string host, Script script);
  ~FakeAgent();
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;

  // What was asked, in order.
  std::vector<v1::JobSubmission> submissions() const;
  std::vector<std::string> cancelled() const;
  std::vector<v1::SignalJobsRequest> signals() const;
  // Most jobs that were under way at once.
  size_t most_at_once() const;

  // What ListTasks and GetHost answer.
  void SetTasks(const v1::ListTasksResponse& tasks);
  void SetHost(const v1::Host& host);
  // Waits, at most 10 s, until so many jobs were submitted; false if they were not.
  bool AwaitSubmissions(size_t count) const;
  // WatchEvents breaks off with UNAVAILABLE, once, after so many events.
  void BreakWatchAfter(size_t events);
  // No answer to anything from here on, until it is destroyed.
  void Hang();

 private:
  struct State;
  class Jobs;
  class Hosts;
  class Parents;
  struct Servers;
  const std::shared_ptr<State> state_;
  const std::unique_ptr<Servers> servers_;
};

// Whatever is submitted does this.
FakeAgent::Script Always(const FakeJob& job);

}  // namespace brood::testing
