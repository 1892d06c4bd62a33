// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "brood/v1/event.pb.h"
#include "brood/v1/host_service.grpc.pb.h"
#include "brood/v1/job_service.grpc.pb.h"
#include "brood/v1/parent_service.grpc.pb.h"
#include "tests/testing/temp_directory.h"

namespace brood::testing {

// A real agent with its supervisor and parents, in folders of its own. What it
// started is ended, and checked to be gone, when this goes.
class AgentProcess {
 public:
  // Starts it with these further options, again up to so often if it ends, and
  // waits until it serves; a test failure is reported if it does not.
  explicit AgentProcess(std::vector<std::string> options = {}, int starts = 1);
  ~AgentProcess();

  v1::JobService::Stub& jobs() { return *jobs_; }
  v1::ParentService::Stub& parents() { return *parents_; }
  v1::HostService::Stub& host() { return *host_; }
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  const std::string& socket_path() const { return socket_path_; }
  const std::string& directory() const { return directory_.path(); }
  int pid() const { return pid_; }  // 0: it has ended

  // Runs the jobs to their end and returns all events, each stream of which has
  // been checked against the order rules.
  std::vector<v1::Event> Run(const std::vector<v1::JobSubmission>& jobs,
                             bool include_output = true);

  // Submits them in one request, and does not wait. All are accepted.
  void Submit(const std::vector<v1::JobSubmission>& jobs);
  // The same, and what was answered of each.
  std::vector<v1::SubmittedJob> TrySubmit(const std::vector<v1::JobSubmission>& jobs);
  // All of these jobs are known. `grace`: none is the jobs' own.
  void Cancel(const std::vector<std::string>& ids,
              std::optional<std::chrono::milliseconds> grace = std::nullopt);
  // Hands on what is kept of its stdout from `offset` on.
  grpc::Status ReadOutput(const std::string& id, uint64_t offset,
                          const std::function<void(const v1::ReadOutputResponse&)>& take);

  // The events that the agent now has, of this job.
  std::vector<v1::Event> Events(const std::string& job_id);

  v1::Job GetJob(const std::string& job_id);
  v1::Host GetHost();

  // Reads the job's events as they come, until one satisfies `wanted`; fails
  // after 20 s.
  void WaitFor(const std::string& job_id, const std::function<bool(const v1::Event&)>& wanted);

  // SIGKILL to the agent alone, and another one on the same folders.
  void KillAndRestart();

  // For agents that end by themselves: waits so long for its end, and takes its status; true also
  // if it has ended before.
  bool AwaitEnd(int milliseconds);
  void Kill();
  // Another one on the same folders; false, and no test failure, if it ended before it served.
  bool TryStart();

 private:
  void Launch();
  std::string Start();
  void Connect();
  void Stop();

  TempDirectory directory_;
  std::vector<std::string> options_;
  std::string socket_path_;
  int pid_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::ParentService::Stub> parents_;
  std::unique_ptr<v1::HostService::Stub> host_;
};

// Submissions, shortly.
v1::JobSubmission CommandJob(const std::string& id, const std::vector<std::string>& argv);
v1::JobSubmission CallJob(const std::string& id, v1::Mode mode, const std::string& task,
                          const std::vector<std::string>& words);

// The first event with that payload, or a default one.
v1::Event FindEvent(const std::vector<v1::Event>& events, v1::Event::PayloadCase payload);
// All bytes of one stream, in order.
std::string OutputOf(const std::vector<v1::Event>& events, v1::Stream stream);

}  // namespace brood::testing
