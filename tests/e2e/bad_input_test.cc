// SPDX-License-Identifier: Apache-2.0
//
// What strangers and mistakes send: each gets the right code and the field's
// name; nothing crashes, hangs, or keeps a descriptor.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/base/unix_socket.h"
#include "common/rpc/grpc_status.h"
#include "tests/testing/agent_process.h"
#include "tests/testing/temp_directory.h"

namespace brood::testing {
namespace {

size_t OpenDescriptors(int pid) {
  size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    (void)entry;
    ++count;
  }
  return count;
}

v1::SubmittedJob Submit(AgentProcess* agent, const v1::JobSubmission& job) {
  return agent->TrySubmit({job}).front();
}

TEST(BadInputTest, EveryFieldOfASpecIsRefusedByName) {
  AgentProcess agent;
  struct Case {
    std::string field;
    std::function<void(v1::JobSubmission*)> spoil;
  };
  const std::vector<Case> cases = {
      {"job_id", [](v1::JobSubmission* job) { job->set_job_id("../../etc"); }},
      {"job_id", [](v1::JobSubmission* job) { job->set_job_id(""); }},
      {"job_id", [](v1::JobSubmission* job) { job->set_job_id(std::string(65, 'a')); }},
      {"spec", [](v1::JobSubmission* job) { job->mutable_spec()->clear_command(); }},
      {"spec.command.argv",
       [](v1::JobSubmission* job) { job->mutable_spec()->mutable_command()->clear_argv(); }},
      {"spec.command.argv[1]",
       [](v1::JobSubmission* job) {
         job->mutable_spec()->mutable_command()->add_argv(std::string("a\0b", 3));
       }},
      {"spec.command.argv[1]",
       [](v1::JobSubmission* job) {
         job->mutable_spec()->mutable_command()->add_argv(std::string(131'072, 'a'));
       }},
      {"spec.command.argv",
       [](v1::JobSubmission* job) {
         for (int i = 0; i < 5'000; ++i) job->mutable_spec()->mutable_command()->add_argv("a");
       }},
      {"spec.mode", [](v1::JobSubmission* job) { job->mutable_spec()->set_mode(v1::MODE_THREAD); }},
      {"spec.mode",
       [](v1::JobSubmission* job) { job->mutable_spec()->set_mode(static_cast<v1::Mode>(77)); }},
      {"spec.parent", [](v1::JobSubmission* job) { job->mutable_spec()->set_parent("nobody"); }},
      {"spec.parent", [](v1::JobSubmission* job) { job->mutable_spec()->set_parent("a/b"); }},
      {"spec.working_directory",
       [](v1::JobSubmission* job) { job->mutable_spec()->set_working_directory("here"); }},
      {"spec.umask", [](v1::JobSubmission* job) { job->mutable_spec()->set_umask(01000); }},
      {"spec.timeout",
       [](v1::JobSubmission* job) { job->mutable_spec()->mutable_timeout()->set_seconds(-1); }},
      {"spec.kill_grace",
       [](v1::JobSubmission* job) {
         job->mutable_spec()->mutable_kill_grace()->set_seconds(1L << 60);
       }},
      {"spec.limits[0].name",
       [](v1::JobSubmission* job) { job->mutable_spec()->add_limits()->set_name("luck"); }},
      {"spec.environment.set[0].name",
       [](v1::JobSubmission* job) {
         job->mutable_spec()->mutable_environment()->add_set()->set_name("A=B");
       }},
      {"spec.run_id", [](v1::JobSubmission* job) { job->mutable_spec()->set_run_id("a b"); }},
      {"spec.labels",
       [](v1::JobSubmission* job) {
         for (int i = 0; i < 10'000; ++i)
           (*job->mutable_spec()->mutable_labels())["l" + std::to_string(i)] = "v";
       }},
  };
  for (const Case& one : cases) {
    v1::JobSubmission job = CommandJob("job", {"true"});
    one.spoil(&job);
    const v1::SubmittedJob answer = Submit(&agent, job);
    EXPECT_NE(answer.error_code(), 0) << one.field;
    EXPECT_THAT(answer.error_field(), ::testing::StartsWith(one.field)) << answer.error_message();
    EXPECT_THAT(answer.error_message(), ::testing::HasSubstr(answer.error_field()));
  }
  // And it still runs jobs.
  EXPECT_EQ(OutputOf(agent.Run({CommandJob("good", {"echo", "good"})}), v1::STREAM_STDOUT),
            "good\n");
}

TEST(BadInputTest, ErrorsCarryReasonDomainAndField) {
  AgentProcess agent;
  v1::GetJobRequest request;
  request.set_job_id("nobody");
  v1::GetJobResponse response;
  grpc::ClientContext context;
  const grpc::Status status = agent.jobs().GetJob(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(FromGrpcStatus(status).reason, "NO_SUCH_JOB");
  v1::CancelJobsRequest cancel;
  v1::CancelJobsResponse cancelled;
  grpc::ClientContext cancel_context;
  EXPECT_EQ(FromGrpcStatus(agent.jobs().CancelJobs(&cancel_context, cancel, &cancelled)).field,
            "job_ids");
}

// A message quotes what was sent: uncut, an answer would not fit its metadata, and the client
// would hear of that instead.
TEST(BadInputTest, HugeNamesAreAnsweredWithTheirOwnError) {
  AgentProcess agent;
  const std::string huge(200'000, 'x');
  std::vector<std::pair<std::string, grpc::Status>> answers;
  grpc::ClientContext get_context;
  v1::GetJobRequest get;
  get.set_job_id(huge);
  v1::GetJobResponse got;
  answers.emplace_back("job_id", agent.jobs().GetJob(&get_context, get, &got));
  grpc::ClientContext output_context;
  v1::ReadOutputRequest output;
  output.set_job_id(huge);
  output.set_stream(v1::STREAM_STDOUT);
  answers.emplace_back("job_id", agent.jobs().ReadOutput(&output_context, output)->Finish());
  grpc::ClientContext watch_context;
  v1::WatchEventsRequest watch;
  watch.add_job_ids(huge);
  answers.emplace_back("job_ids", agent.jobs().WatchEvents(&watch_context, watch)->Finish());
  grpc::ClientContext start_context;
  v1::StartParentRequest start;
  start.set_name("p");
  start.add_libraries("/" + huge);
  v1::StartParentResponse started;
  answers.emplace_back("libraries[0]",
                       agent.parents().StartParent(&start_context, start, &started));
  grpc::ClientContext cells_context;
  v1::ReadMemoryRequest cells;
  cells.add_cells(huge);
  v1::ReadMemoryResponse read;
  answers.emplace_back("cells", agent.parents().ReadMemory(&cells_context, cells, &read));
  grpc::ClientContext tasks_context;
  v1::ListTasksRequest tasks;
  tasks.set_parent(huge);
  v1::ListTasksResponse listed;
  answers.emplace_back("parent", agent.parents().ListTasks(&tasks_context, tasks, &listed));
  for (const auto& [field, status] : answers) {
    EXPECT_EQ(FromGrpcStatus(status).field, field) << status.error_message();
    EXPECT_LT(status.error_message().size(), 400U) << field;
  }
  v1::CancelJobsRequest cancel;
  cancel.add_job_ids(huge);
  v1::CancelJobsResponse cancelled;
  grpc::ClientContext cancel_context;
  EXPECT_TRUE(agent.jobs().CancelJobs(&cancel_context, cancel, &cancelled).ok());
  EXPECT_LT(cancelled.answers(0).error_message().size(), 400U);
}

TEST(BadInputTest, FieldsOfRequestsAreRefusedByName) {
  AgentProcess agent;
  v1::CancelJobsRequest cancel;
  cancel.add_job_ids("a");
  cancel.mutable_grace()->set_nanos(2'000'000'000);
  v1::CancelJobsResponse cancelled;
  grpc::ClientContext cancel_context;
  EXPECT_EQ(FromGrpcStatus(agent.jobs().CancelJobs(&cancel_context, cancel, &cancelled)).field,
            "grace");
  v1::ListJobsRequest list;
  list.set_state(static_cast<v1::JobState>(77));
  v1::ListJobsResponse listed;
  grpc::ClientContext state_context;
  EXPECT_EQ(FromGrpcStatus(agent.jobs().ListJobs(&state_context, list, &listed)).field, "state");
  list.clear_state();
  list.set_run_id("a b");
  grpc::ClientContext run_context;
  EXPECT_EQ(FromGrpcStatus(agent.jobs().ListJobs(&run_context, list, &listed)).field, "run_id");
  v1::WatchEventsRequest watch;
  watch.set_run_id("a b");
  grpc::ClientContext watch_context;
  EXPECT_EQ(FromGrpcStatus(agent.jobs().WatchEvents(&watch_context, watch)->Finish()).field,
            "run_id");
  v1::WriteInputResponse written;
  grpc::ClientContext input_context;
  const auto input = agent.jobs().WriteInput(&input_context, &written);
  input->WritesDone();
  EXPECT_EQ(FromGrpcStatus(input->Finish()).field, "job_id");
}

// Whoever submits and does not read its answers is held up, and costs no memory beyond some
// answers.
TEST(BadInputTest, AClientThatNeverReadsItsAnswersIsHeldUp) {
  AgentProcess agent;
  v1::RunJobsRequest request;
  for (int i = 0; i < 64; ++i) request.add_jobs()->set_job_id(std::string(64, '/'));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(3));
  const auto stream = agent.jobs().RunJobs(&context);
  constexpr int kRequests = 5'000;
  int sent = 0;
  while (sent < kRequests && stream->Write(request)) ++sent;
  EXPECT_LT(sent, kRequests) << "the agent took all of them";
  context.TryCancel();
  (void)stream->Finish();
  EXPECT_EQ(Submit(&agent, CommandJob("still", {"true"})).error_code(), 0);
}

TEST(BadInputTest, AMessageOverTheLimitIsRefusedAndTheAgentStaysSmall) {
  AgentProcess agent;
  v1::SubmitJobsRequest request;
  *request.add_jobs() = CommandJob("huge", {"true", std::string(8 << 20, 'a')});
  v1::SubmitJobsResponse response;
  grpc::ClientContext context;
  EXPECT_EQ(agent.jobs().SubmitJobs(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Submit(&agent, CommandJob("small", {"true"})).error_code(), 0);
}

TEST(BadInputTest, AnExpiredDeadlineIsTheClientsAnswerAndNothingHangs) {
  AgentProcess agent;
  v1::GetHostResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() - std::chrono::seconds(1));
  EXPECT_EQ(agent.host().GetHost(&context, v1::GetHostRequest(), &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST(BadInputTest, ResumeTokensThatAreNoneAreRefused) {
  AgentProcess agent;
  for (const auto& [token, code] : std::vector<std::pair<std::string, grpc::StatusCode>>{
           {"nonsense", grpc::StatusCode::INVALID_ARGUMENT},
           {"b1.0123456789abcdef.1.5", grpc::StatusCode::INVALID_ARGUMENT}}) {
    v1::WatchEventsRequest request;
    request.set_resume_token(token);
    grpc::ClientContext context;
    const auto stream = agent.jobs().WatchEvents(&context, request);
    v1::WatchEventsResponse response;
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_EQ(stream->Finish().error_code(), code) << token;
  }
}

TEST(BadInputTest, GarbageOnTheSocketHurtsNobody) {
  AgentProcess agent;
  for (int i = 0; i < 20; ++i) {
    Result<UniqueFd> fd = ConnectUnix(agent.socket_path());
    ASSERT_TRUE(fd.ok());
    const std::string garbage(1'000, static_cast<char>('a' + i));
    (void)::send(fd->get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
  }
  EXPECT_EQ(Submit(&agent, CommandJob("still", {"true"})).error_code(), 0);
}

TEST(BadInputTest, ARefusedAddressStartsNoProcess) {
  const TempDirectory directory;
  const char* const bin = std::getenv("BROOD_BIN_DIR");
  const std::string program =
      std::string(bin != nullptr ? bin : "build/release/bin") + "/brood-agent";
  const std::string command = "BROOD_STATE_DIR=" + directory.path() +
                              "/s BROOD_RUNTIME_DIR=" + directory.path() + "/r " + program +
                              " --listen 0.0.0.0:0 --insecure-loopback 2>/dev/null";
  EXPECT_NE(std::system(command.c_str()), 0);
  // No supervisor, no journal: nothing of an agent's was made.
  EXPECT_FALSE(std::filesystem::exists(directory.path() + "/s"));
}

TEST(BadInputTest, AnAgentThatHadNoDescriptorLeftTakesConnectionsAgain) {
  AgentProcess agent;
  rlimit usual{};
  ASSERT_EQ(::prlimit(agent.pid(), RLIMIT_NOFILE, nullptr, &usual), 0);
  const rlimit none{3, usual.rlim_max};
  ASSERT_EQ(::prlimit(agent.pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  const auto ask = [&agent](int milliseconds) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto stub = v1::HostService::NewStub(grpc::CreateCustomChannel(
        "unix:" + agent.socket_path(), grpc::InsecureChannelCredentials(), arguments));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(milliseconds));
    v1::GetHostResponse response;
    return stub->GetHost(&context, v1::GetHostRequest(), &response).error_code();
  };
  EXPECT_NE(ask(200), grpc::StatusCode::OK);
  ASSERT_EQ(::prlimit(agent.pid(), RLIMIT_NOFILE, &usual, nullptr), 0);
  EXPECT_EQ(ask(10'000), grpc::StatusCode::OK);
}

TEST(BadInputTest, NoDescriptorStaysBehind) {
  AgentProcess agent;
  v1::ListParentsResponse parents;
  grpc::ClientContext context;
  ASSERT_TRUE(agent.parents().ListParents(&context, v1::ListParentsRequest(), &parents).ok());
  const std::vector<int> pids = {agent.pid(), parents.parents(0).pid(),
                                 agent.GetHost().supervisor_pid()};
  const auto run = [&agent](const std::string& prefix) {
    std::vector<v1::JobSubmission> jobs;
    for (int i = 0; i < 15; ++i) {
      const std::string id = prefix + std::to_string(i);
      jobs.push_back(CommandJob(id + "a", {"true"}));
      jobs.push_back(CommandJob(id + "b", {"no-such-program"}));
      jobs.push_back(CallJob(id + "c", v1::MODE_FORK, "demo.print", {"x"}));
      jobs.push_back(CallJob(id + "d", v1::MODE_THREAD, "demo.print", {"x"}));
    }
    agent.Run(jobs);
  };
  run("warm");
  std::vector<size_t> before;
  for (const int pid : pids) before.push_back(OpenDescriptors(pid));
  for (const char* prefix : {"p", "q", "r"}) run(prefix);
  for (size_t i = 0; i < pids.size(); ++i) {
    // The last jobs' may be on their way between a job's end and the parent's word of it.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (OpenDescriptors(pids[i]) > before[i] + 2 && std::chrono::steady_clock::now() < end)
      (void)agent.GetHost();
    EXPECT_LE(OpenDescriptors(pids[i]), before[i] + 2)
        << "process " << i << " of agent, parent, supervisor";
  }
}

}  // namespace
}  // namespace brood::testing
