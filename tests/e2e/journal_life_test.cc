// SPDX-License-Identifier: Apache-2.0
//
// What outlives what of a journal: jobs their first events, ids their jobs.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/testing/agent_process.h"

namespace brood::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

fs::path JournalOf(const AgentProcess& agent) {
  for (const auto& entry : fs::directory_iterator(agent.directory() + "/state")) {
    if (fs::exists(entry.path() / "journal")) return entry.path() / "journal";
  }
  return {};
}

// Lets the agent end as it does when it is told to, and starts another one.
void EndAndRestart(AgentProcess* agent) {
  ASSERT_EQ(::kill(agent->pid(), SIGTERM), 0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(agent->pid()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(info.si_code, CLD_EXITED);
  EXPECT_EQ(info.si_status, 0);
  agent->KillAndRestart();
}

struct Checked {
  int code = -1;
  std::string text;
};
Checked CheckJournal(const fs::path& journal) {
  const std::string command = std::string(std::getenv("BROOD_BIN_DIR")) +
                              "/brood-agent --check-journal " + journal.string() + " 2>&1";
  Checked checked;
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return checked;
  char bytes[4'096];
  for (size_t size; (size = ::fread(bytes, 1, sizeof(bytes), pipe)) > 0;)
    checked.text.append(bytes, size);
  const int status = ::pclose(pipe);
  checked.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return checked;
}

grpc::Status TryGetJob(AgentProcess* agent, const std::string& id) {
  v1::GetJobRequest request;
  request.set_job_id(id);
  v1::GetJobResponse response;
  grpc::ClientContext context;
  return agent->jobs().GetJob(&context, request, &response);
}

TEST(JournalLifeTest, AnAgentThatWasToldToEndLeavesASnapshotAndTheNextBeginsWithIt) {
  AgentProcess agent;
  v1::JobSubmission job = CommandJob("long", {"sleep", "3600"});
  job.mutable_spec()->mutable_timeout()->set_seconds(3'600);
  (*job.mutable_spec()->mutable_labels())["of"] = "a test";
  agent.Submit({job});
  agent.WaitFor("long", [](const v1::Event& event) { return event.has_started(); });
  agent.Run({CommandJob("short", {"sh", "-c", "exit 4"})});
  EndAndRestart(&agent);
  const Checked running = CheckJournal(JournalOf(agent));
  EXPECT_EQ(running.code, 0) << running.text;
  EXPECT_THAT(running.text, HasSubstr("snapshot "));
  EXPECT_THAT(running.text, HasSubstr("2 jobs"));
  EXPECT_EQ(agent.GetJob("long").spec().labels().at("of"), "a test");
  EXPECT_EQ(agent.GetJob("long").state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(agent.GetJob("short").exit_code(), 4);
  agent.KillAndRestart();
  EXPECT_EQ(agent.GetJob("long").spec().timeout().seconds(), 3'600);
  EXPECT_EQ(agent.TrySubmit({job}).front().already_existed(), true);
  agent.Cancel({"long"});
  agent.WaitFor("long", [](const v1::Event& event) { return event.has_cleaned(); });
  EXPECT_EQ(agent.GetJob("long").outcome(), v1::OUTCOME_CANCELLED);
  EXPECT_EQ(agent.GetHost().journal_oldest(), 1u);
}

TEST(JournalLifeTest, AForgottenJobIsKnownByItsEventsAndDoesNotRunAgain) {
  AgentProcess agent({"--ended-jobs", "2"});
  const std::string ledger = agent.directory() + "/ledger";
  const v1::JobSubmission job =
      CommandJob("first", {"sh", "-c", "echo once >> " + ledger + "; echo said; exit 3"});
  agent.Run({job});
  for (const char* const id : {"second", "third", "fourth"}) agent.Run({CommandJob(id, {"true"})});
  const auto check = [&](const std::string& when) {
    SCOPED_TRACE(when);
    EXPECT_EQ(agent.GetJob("first").exit_code(), 3);
    EXPECT_EQ(agent.GetJob("first").spec().command().argv(0), "sh");
    const std::vector<v1::Event> events = agent.Events("first");
    ASSERT_GE(events.size(), 5u);
    EXPECT_TRUE(events.front().has_received());
    EXPECT_TRUE(events.back().has_cleaned());
    const v1::SubmittedJob again = agent.TrySubmit({job}).front();
    EXPECT_TRUE(again.already_existed());
    EXPECT_EQ(again.error_code(), 0);
    const v1::SubmittedJob other = agent.TrySubmit({CommandJob("first", {"false"})}).front();
    EXPECT_EQ(other.error_code(), static_cast<int>(grpc::StatusCode::ALREADY_EXISTS));
    EXPECT_EQ(other.spec_digest(), again.spec_digest());
    EXPECT_NE(other.spec_digest(), 0u);
    // A run of it shows what was.
    const std::vector<v1::Event> shown = agent.Run({job});
    EXPECT_TRUE(FindEvent(shown, v1::Event::kExited).has_exited());
    const grpc::Status output = agent.ReadOutput("first", 0, [](const v1::ReadOutputResponse&) {});
    EXPECT_EQ(output.error_code(), grpc::StatusCode::OUT_OF_RANGE);
    EXPECT_THAT(output.error_message(), HasSubstr("no longer kept"));
    EXPECT_EQ(TryGetJob(&agent, "never").error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(fs::file_size(ledger), 5u) << "it ran once";
  };
  check("before");
  agent.KillAndRestart();
  check("after a kill");
  EndAndRestart(&agent);
  check("after an end");
  agent.KillAndRestart();
  check("from the index");
  const Checked whole = CheckJournal(JournalOf(agent));
  EXPECT_EQ(whole.code, 0) << whole.text;
  EXPECT_THAT(whole.text, HasSubstr("ids "));
}

TEST(JournalLifeTest, DamageIsNamedWithFileAndOffset) {
  AgentProcess agent;
  agent.Run({CommandJob("one", {"true"}), CommandJob("two", {"true"})});
  const fs::path journal = JournalOf(agent);
  const fs::path copy = agent.directory() + "/copy";
  fs::copy(journal, copy);
  EXPECT_EQ(CheckJournal(copy).code, 0);
  const fs::path segment = copy / "00000000000000000001.log";
  FILE* const file = std::fopen(segment.c_str(), "r+");
  ASSERT_NE(file, nullptr);
  std::fseek(file, 300, SEEK_SET);
  std::fputc(0, file);
  std::fputc(1, file);
  std::fclose(file);
  const auto before = fs::last_write_time(segment);
  const Checked damaged = CheckJournal(copy);
  EXPECT_EQ(damaged.code, 1);
  EXPECT_THAT(damaged.text, HasSubstr(segment.string()));
  EXPECT_THAT(damaged.text, HasSubstr("at offset "));
  EXPECT_EQ(fs::last_write_time(segment), before);
  EXPECT_EQ(CheckJournal(agent.directory() + "/nowhere").code, 1);
}

}  // namespace
}  // namespace brood::testing
