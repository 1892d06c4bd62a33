// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "brood/v1/host_service.pb.h"
#include "brood/v1/job_service.pb.h"
#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "controller/client/connection.h"
#include "controller/client/resume_core.h"

namespace brood {

// Runs jobs on many hosts at once, one RunJobs call each; a call that breaks is made again, as
// RunStream does it (run_stream.h). Everything here, and every call to the observer, happens in the
// loop's thread; a slow or dead host delays no other. At most one message of each host is in
// memory.
class FanOut {
 public:
  // What happens, by the host's number as AddHost gave it.
  class Observer {
   public:
    virtual ~Observer() = default;
    // The answer to one submission; error_code 0 means accepted.
    virtual void OnSubmitted(size_t host, const v1::SubmittedJob& job) = 0;
    // One event of a job of this call.
    virtual void OnEvent(size_t host, const v1::Event& event) = 0;
    // The host's run has ended: with all jobs cleaned, or with an error that
    // leaves its jobs' fate unknown. Called once per host.
    virtual void OnHostEnd(size_t host, const Status& status) = 0;
    // In turns: the link to the host is lost, and the first try to get it back has failed; it is
    // there again. A link that comes back at once is not spoken of.
    virtual void OnLinkLost(size_t /*host*/, const Error& /*why*/) {}
    virtual void OnLinkBack(size_t /*host*/) {}
    // Input that was written may not have reached the job: the link was lost, and the agent then
    // closes the job's input.
    virtual void OnInputLost(size_t /*host*/, const Error& /*why*/) {}
    // The host has taken what WriteInput gave, or does not want more (`open` false).
    virtual void OnInputTaken(size_t host, bool open) = 0;
    // What AskHost has brought.
    virtual void OnHost(size_t host, const v1::Host& state) = 0;
  };

  // `include_output`: OUTPUT events carry their bytes. Both must outlive it.
  FanOut(EventLoop& loop, Observer& observer, bool include_output, ResumePolicy policy = {});
  // Breaks off what is still open; jobs go on.
  ~FanOut();
  FanOut(const FanOut&) = delete;
  FanOut& operator=(const FanOut&) = delete;

  // Opens the run of a host; the connection must outlive this object.
  size_t AddHost(Connection& connection);
  // Queues jobs for a host, in messages of at most 64.
  void Submit(size_t host, std::vector<v1::JobSubmission> jobs);
  // No more jobs for this host.
  void CloseSubmissions(size_t host);

  // Stops and resumes reading from all hosts, for a slow receiver of the output.
  void Pause();
  void Resume();

  // Writes to the standard input of a job of that host; one piece at a time: the
  // next only after OnInputTaken. An empty piece closes the job's input.
  void WriteInput(size_t host, const std::string& job_id, std::string_view bytes);

  // Asks what the host is; OnHost follows if it answers.
  void AskHost(size_t host);

  // Asks for the end of these jobs; failures are left to the events to show.
  void Cancel(size_t host, const std::vector<std::string>& job_ids);
  // The token to watch a host's jobs by after its end; empty if nothing of them was seen.
  std::string resume_token(size_t host) const;
  // Breaks all calls off; OnHostEnd follows with CANCELLED, the jobs go on.
  void BreakOff();

 private:
  struct OpenCalls;
  template <typename Reactor, typename Self>
  class LoopCall;
  class HostCall;
  class HostRun;
  class InputCall;
  struct HostQuestion;

  EventLoop& loop_;
  Observer& observer_;
  const bool include_output_;
  const ResumePolicy policy_;
  std::mt19937_64 random_;
  bool paused_ = false;
  const std::shared_ptr<OpenCalls> open_calls_;
  std::vector<std::shared_ptr<HostRun>> hosts_;
  // By host and job id.
  std::map<std::pair<size_t, std::string>, std::shared_ptr<InputCall>> inputs_;
  std::vector<std::shared_ptr<HostQuestion>> questions_;
};

}  // namespace brood
