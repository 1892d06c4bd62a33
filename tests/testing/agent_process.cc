// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/agent_process.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "common/job/event_order.h"
#include "tests/testing/kill_by_pid.h"

namespace brood::testing {
namespace {

constexpr int kReadyMilliseconds = 20'000;
constexpr int kWaitSeconds = 20;

std::string BinDirectory() {
  const char* const directory = std::getenv("BROOD_BIN_DIR");
  return directory != nullptr ? directory : "build/release/bin";
}

std::unique_ptr<grpc::ClientContext> Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(kWaitSeconds));
  return context;
}

// The processes whose command line names the folder.
std::vector<int> ProcessesNaming(const std::string& directory) {
  std::vector<int> pids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const int pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0 || pid == ::getpid()) continue;
    // By read, which takes a process that ends meanwhile for an end: an iterator throws.
    std::ifstream file(entry.path() / "cmdline");
    std::string words;
    char bytes[4096];
    while (file.read(bytes, sizeof(bytes)), file.gcount() > 0)
      words.append(bytes, static_cast<size_t>(file.gcount()));
    if (words.find(directory + "/") != std::string::npos) pids.push_back(pid);
  }
  return pids;
}

// Waits, by pidfd, until that process has ended; false after a while.
bool AwaitEndOf(int pid) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) return true;
  pollfd wait{pidfd, POLLIN, 0};
  const bool ended = ::poll(&wait, 1, kReadyMilliseconds) == 1;
  ::close(pidfd);
  return ended;
}

}  // namespace

AgentProcess::AgentProcess(std::vector<std::string> options, int starts)
    : options_(std::move(options)), socket_path_(directory_.path() + "/run/agent.sock") {
  for (; starts > 1; --starts) {
    if (TryStart()) return;
  }
  Launch();
}

void AgentProcess::Launch() {
  const std::string said = Start();
  ASSERT_EQ(said, "") << "the agent does not serve";
}

bool AgentProcess::TryStart() {
  if (Start().empty()) return true;
  if (AwaitEnd(kReadyMilliseconds / 10)) return false;
  Connect();  // It serves, though its default parent did not start.
  return true;
}

// Empty once it serves, else what it said.
std::string AgentProcess::Start() {
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) return "no pipe";
  const std::string program = BinDirectory() + "/brood-agent";
  std::vector<std::string> words = {program, "--ready-fd", std::to_string(ready[1])};
  words.insert(words.end(), options_.begin(), options_.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string state = directory_.path() + "/state";
  const std::string run = directory_.path() + "/run";
  const std::string log = directory_.path() + "/agent.log";
  pid_ = ::fork();
  if (pid_ == 0) {
    ::fcntl(ready[1], F_SETFD, 0);
    ::setenv("BROOD_STATE_DIR", state.c_str(), 1);
    ::setenv("BROOD_RUNTIME_DIR", run.c_str(), 1);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  ::close(ready[1]);
  if (pid_ < 0) {
    pid_ = 0;
    ::close(ready[0]);
    return "no process";
  }
  pollfd wait{ready[0], POLLIN, 0};
  char said[512] = {};
  const bool served =
      ::poll(&wait, 1, kReadyMilliseconds) == 1 && ::read(ready[0], said, sizeof(said) - 1) == 1;
  ::close(ready[0]);
  if (!served) return std::string("it said: ") + said;
  Connect();
  return "";
}

void AgentProcess::Connect() {
  grpc::ChannelArguments arguments;
  // A channel of its own: the global pool would keep one to a dead agent.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ = grpc::CreateCustomChannel("unix:" + socket_path_, grpc::InsecureChannelCredentials(),
                                       arguments);
  jobs_ = v1::JobService::NewStub(channel_);
  parents_ = v1::ParentService::NewStub(channel_);
  host_ = v1::HostService::NewStub(channel_);
}

AgentProcess::~AgentProcess() {
  // One that has ended, or never served, cannot end the others.
  const bool stops = pid_ > 0 && host_ != nullptr;
  if (stops) Stop();
  Kill();
  for (const int pid : ProcessesNaming(directory_.path())) {
    if (stops) ADD_FAILURE() << "process " << pid << " is left behind";
    KillByPid(pid);
    (void)AwaitEndOf(pid);
  }
}

void AgentProcess::Stop() {
  std::vector<int> pids;
  v1::ListParentsResponse listed;
  (void)parents_->ListParents(Context().get(), v1::ListParentsRequest(), &listed);
  for (const v1::Parent& parent : listed.parents()) {
    if (parent.state() != v1::PARENT_STATE_ENDED) pids.push_back(parent.pid());
  }
  pids.push_back(GetHost().supervisor_pid());
  v1::StopAgentResponse stopped;
  const grpc::Status status = host_->StopAgent(Context().get(), v1::StopAgentRequest(), &stopped);
  if (!status.ok()) {
    ADD_FAILURE() << "the agent does not stop: " << status.error_message();
  } else if (!AwaitEndOf(pid_)) {
    ADD_FAILURE() << "the agent does not end, though it said that it stops";
  } else {
    int ended = 0;
    ::waitpid(std::exchange(pid_, 0), &ended, 0);
    EXPECT_EQ(ended, 0);
  }
  for (const int pid : pids) {
    if (pid <= 0 || AwaitEndOf(pid)) continue;
    ADD_FAILURE() << "process " << pid << " outlives its agent's stop";
    KillByPid(pid);
  }
}

void AgentProcess::Kill() {
  if (pid_ <= 0) return;
  KillByPid(pid_);
  ::waitpid(std::exchange(pid_, 0), nullptr, 0);
}

bool AgentProcess::AwaitEnd(int milliseconds) {
  if (pid_ <= 0) return true;
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  pollfd wait{pidfd, POLLIN, 0};
  const bool ended = ::poll(&wait, 1, milliseconds) == 1;
  ::close(pidfd);
  if (ended) Kill();
  return ended;
}

void AgentProcess::KillAndRestart() {
  Kill();
  Launch();
}

std::vector<v1::Event> AgentProcess::Run(const std::vector<v1::JobSubmission>& jobs,
                                         bool include_output) {
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const auto stream = jobs_->RunJobs(context.get());
  v1::RunJobsRequest request;
  request.set_include_output(include_output);
  for (const v1::JobSubmission& job : jobs) *request.add_jobs() = job;
  EXPECT_TRUE(stream->Write(request));
  stream->WritesDone();
  std::vector<v1::Event> events;
  EventOrder order;
  v1::RunJobsResponse response;
  while (stream->Read(&response)) {
    for (const v1::SubmittedJob& accepted : response.accepted()) {
      EXPECT_EQ(accepted.error_code(), 0) << accepted.error_message();
    }
    for (v1::Event& event : *response.mutable_events()) {
      const Status broken = order.Check(event);
      EXPECT_FALSE(broken) << broken->message << "\n" << event.ShortDebugString();
      events.push_back(std::move(event));
    }
  }
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  const Status unfinished = order.Finish();
  EXPECT_FALSE(unfinished) << unfinished->message;
  return events;
}

void AgentProcess::Submit(const std::vector<v1::JobSubmission>& jobs) {
  for (const v1::SubmittedJob& answer : TrySubmit(jobs))
    EXPECT_EQ(answer.error_code(), 0) << answer.error_message();
}

std::vector<v1::SubmittedJob> AgentProcess::TrySubmit(const std::vector<v1::JobSubmission>& jobs) {
  v1::SubmitJobsRequest request;
  for (const v1::JobSubmission& job : jobs) *request.add_jobs() = job;
  v1::SubmitJobsResponse response;
  const grpc::Status status = jobs_->SubmitJobs(Context().get(), request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.accepted_size(), request.jobs_size());
  // So that a test that goes on has one of each to ask.
  while (response.accepted_size() < request.jobs_size()) response.add_accepted();
  return {response.accepted().begin(), response.accepted().end()};
}

void AgentProcess::Cancel(const std::vector<std::string>& ids,
                          std::optional<std::chrono::milliseconds> grace) {
  v1::CancelJobsRequest request;
  for (const std::string& id : ids) request.add_job_ids(id);
  if (grace) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*grace);
    request.mutable_grace()->set_seconds(seconds.count());
    request.mutable_grace()->set_nanos(
        static_cast<int32_t>(std::chrono::nanoseconds(*grace - seconds).count()));
  }
  v1::CancelJobsResponse response;
  const grpc::Status status = jobs_->CancelJobs(Context().get(), request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  for (const auto& answer : response.answers())
    EXPECT_EQ(answer.error_code(), 0) << answer.error_message();
}

grpc::Status AgentProcess::ReadOutput(
    const std::string& id, uint64_t offset,
    const std::function<void(const v1::ReadOutputResponse&)>& take) {
  v1::ReadOutputRequest request;
  request.set_job_id(id);
  request.set_stream(v1::STREAM_STDOUT);
  request.set_offset(offset);
  const std::unique_ptr<grpc::ClientContext> context = Context();
  const auto stream = jobs_->ReadOutput(context.get(), request);
  v1::ReadOutputResponse response;
  while (stream->Read(&response)) take(response);
  return stream->Finish();
}

std::vector<v1::Event> AgentProcess::Events(const std::string& job_id) {
  const std::unique_ptr<grpc::ClientContext> context = Context();
  v1::WatchEventsRequest request;
  request.add_job_ids(job_id);
  request.set_include_output(true);
  const auto stream = jobs_->WatchEvents(context.get(), request);
  std::vector<v1::Event> events;
  v1::WatchEventsResponse response;
  while (stream->Read(&response)) {
    for (const v1::Event& event : response.events()) events.push_back(event);
  }
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return events;
}

void AgentProcess::WaitFor(const std::string& job_id,
                           const std::function<bool(const v1::Event&)>& wanted) {
  const std::unique_ptr<grpc::ClientContext> context = Context();
  v1::WatchEventsRequest request;
  request.add_job_ids(job_id);
  request.set_include_output(true);
  request.set_follow(true);
  const auto stream = jobs_->WatchEvents(context.get(), request);
  v1::WatchEventsResponse response;
  while (stream->Read(&response)) {
    for (const v1::Event& event : response.events()) {
      if (!wanted(event)) continue;
      context->TryCancel();
      (void)stream->Finish();
      return;
    }
  }
  const grpc::Status status = stream->Finish();
  ADD_FAILURE() << "job " << job_id
                << " ended its events without the one waited for: " << status.error_message();
}

v1::Job AgentProcess::GetJob(const std::string& job_id) {
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  v1::GetJobResponse response;
  const grpc::Status status = jobs_->GetJob(Context().get(), request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.job();
}

v1::Host AgentProcess::GetHost() {
  v1::GetHostResponse response;
  const grpc::Status status = host_->GetHost(Context().get(), v1::GetHostRequest(), &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.host();
}

v1::JobSubmission CommandJob(const std::string& id, const std::vector<std::string>& argv) {
  v1::JobSubmission job;
  job.set_job_id(id);
  for (const std::string& word : argv) job.mutable_spec()->mutable_command()->add_argv(word);
  return job;
}

v1::JobSubmission CallJob(const std::string& id, v1::Mode mode, const std::string& task,
                          const std::vector<std::string>& words) {
  v1::JobSubmission job;
  job.set_job_id(id);
  job.mutable_spec()->set_mode(mode);
  job.mutable_spec()->mutable_call()->set_task(task);
  for (const std::string& word : words)
    job.mutable_spec()->mutable_call()->add_arguments()->set_word(word);
  return job;
}

v1::Event FindEvent(const std::vector<v1::Event>& events, v1::Event::PayloadCase payload) {
  for (const v1::Event& event : events) {
    if (event.payload_case() == payload) return event;
  }
  return {};
}

std::string OutputOf(const std::vector<v1::Event>& events, v1::Stream stream) {
  std::string bytes;
  for (const v1::Event& event : events) {
    if (event.has_output() && event.output().stream() == stream) bytes += event.output().bytes();
  }
  return bytes;
}

}  // namespace brood::testing
