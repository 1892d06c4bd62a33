// SPDX-License-Identifier: Apache-2.0
//
// What jobs write comes back byte for byte, whoever dies; and what is too much becomes of what was
// asked.
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "common/job/event_order.h"
#include "tests/children/flood_bytes.h"
#include "tests/testing/agent_process.h"
#include "tests/testing/kill_by_pid.h"

namespace brood::testing {
namespace {

constexpr uint64_t kMiB = 1 << 20;

struct Flood {
  std::string id;
  uint64_t seed = 1;
  uint64_t bytes = 0;
  std::string kind = "binary";
  v1::OutputTarget target = v1::OUTPUT_TARGET_PIPE;
};

v1::JobSubmission FloodJob(const Flood& flood) {
  v1::JobSubmission job = CommandJob(flood.id, {FLOOD_PROGRAM, std::to_string(flood.seed),
                                                std::to_string(flood.bytes), flood.kind});
  job.mutable_spec()->mutable_output()->set_target(flood.target);
  job.mutable_spec()->mutable_output()->set_stream_bytes_max(1024 * kMiB);
  return job;
}

// Whether what is kept is what it wrote.
void ExpectWhole(AgentProcess* agent, const Flood& flood) {
  FloodBytes bytes(flood.seed, flood.kind);
  std::string ahead;
  uint64_t at = 0;
  bool same = true;
  const grpc::Status status =
      agent->ReadOutput(flood.id, 0, [&](const v1::ReadOutputResponse& response) {
        EXPECT_EQ(response.offset(), at);
        at += response.bytes().size();
        while (ahead.size() < response.bytes().size()) {
          const size_t size = ahead.size();
          ahead.resize(size + kMiB);
          bytes.Fill(ahead.data() + size, kMiB);
        }
        same = same && ahead.compare(0, response.bytes().size(), response.bytes()) == 0;
        ahead.erase(0, response.bytes().size());
      });
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(at, flood.bytes) << flood.id;
  EXPECT_TRUE(same) << flood.id;
}

v1::OutputClosed AwaitClosed(AgentProcess* agent, const std::string& id) {
  v1::OutputClosed closed;
  agent->WaitFor(id, [&closed](const v1::Event& event) {
    if (event.has_output_closed()) closed = event.output_closed();
    return event.has_cleaned();
  });
  return closed;
}

void ExpectInOrder(AgentProcess* agent, const std::string& id) {
  EventOrder order;
  for (const v1::Event& event : agent->Events(id)) {
    const Status broken = order.Check(event);
    EXPECT_FALSE(broken) << broken->message;
  }
  EXPECT_FALSE(order.Finish());
}

pid_t PidOfDefault(AgentProcess* agent) {
  v1::ListParentsResponse response;
  grpc::ClientContext context;
  EXPECT_TRUE(agent->parents().ListParents(&context, {}, &response).ok());
  for (const v1::Parent& parent : response.parents()) {
    if (parent.name() == "default" && parent.state() == v1::PARENT_STATE_RUNNING)
      return parent.pid();
  }
  return 0;
}

// Until that process is gone and waited for.
bool AwaitGone(pid_t pid) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (::kill(pid, 0) == 0) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class OutputTest : public ::testing::TestWithParam<v1::OutputTarget> {
 protected:
  v1::JobSubmission Job(const std::string& id, const std::vector<std::string>& argv,
                        v1::OutputOverflow overflow = v1::OUTPUT_OVERFLOW_DROP,
                        uint64_t most = 64 << 10) {
    v1::JobSubmission job = CommandJob(id, argv);
    job.mutable_spec()->mutable_output()->set_target(GetParam());
    job.mutable_spec()->mutable_output()->set_overflow(overflow);
    job.mutable_spec()->mutable_output()->set_stream_bytes_max(most);
    return job;
  }
};

TEST_P(OutputTest, FloodsOfEveryKindComeBackByteForByte) {
  AgentProcess agent;
  std::vector<Flood> floods;
  for (const char* const kind : {"binary", "text", "utf8", "nul"}) {
    floods.push_back(Flood{kind, floods.size() + 1, 32 * kMiB + 77, kind, GetParam()});
  }
  floods.push_back(Flood{"long", 99, 256 * kMiB, "binary", GetParam()});
  std::vector<v1::JobSubmission> jobs;
  for (const Flood& flood : floods) jobs.push_back(FloodJob(flood));
  agent.Submit(jobs);
  for (const Flood& flood : floods) {
    const v1::OutputClosed closed = AwaitClosed(&agent, flood.id);
    EXPECT_EQ(closed.stdout_bytes(), flood.bytes);
    EXPECT_EQ(closed.dropped_bytes(), 0u);
    EXPECT_FALSE(closed.held_open());
    EXPECT_FALSE(closed.may_be_cut());
    ExpectWhole(&agent, flood);
  }
  ExpectInOrder(&agent, "text");
}

TEST_P(OutputTest, AgentsThatDieLoseNoByte) {
  AgentProcess agent;
  const Flood flood{"flood", 7, 128 * kMiB, "binary", GetParam()};
  agent.Submit({FloodJob(flood)});
  for (int kill = 1; kill <= 3; ++kill) {
    agent.WaitFor("flood", [kill](const v1::Event& event) {
      return event.output().offset() >= static_cast<uint64_t>(kill) * 24 * kMiB ||
             event.has_cleaned();
    });
    agent.KillAndRestart();
  }
  EXPECT_EQ(AwaitClosed(&agent, "flood").stdout_bytes(), flood.bytes);
  EXPECT_EQ(agent.GetJob("flood").exit_code(), 0);
  ExpectWhole(&agent, flood);
  ExpectInOrder(&agent, "flood");
}

// Both die while the job writes; it comes to its end where nobody has to read it, and waits where
// somebody has.
TEST_P(OutputTest, AnAgentAndAParentThatDieTogetherLoseNoByteOfAJobThatLives) {
  AgentProcess agent;
  const Flood flood{"flood", 8, 64 * kMiB, "binary", GetParam()};
  agent.Submit({FloodJob(flood)});
  agent.WaitFor("flood", [](const v1::Event& event) { return event.has_output(); });
  const pid_t job = agent.GetJob("flood").pid();
  const pid_t parent = PidOfDefault(&agent);
  ASSERT_GT(parent, 0);
  KillByPid(agent.pid(), SIGSTOP);
  KillByPid(parent);
  if (GetParam() == v1::OUTPUT_TARGET_FILE) {
    EXPECT_TRUE(AwaitGone(job));
  }
  agent.KillAndRestart();
  const v1::OutputClosed closed = AwaitClosed(&agent, "flood");
  EXPECT_EQ(agent.GetJob("flood").exit_code(), 0);
  if (GetParam() == v1::OUTPUT_TARGET_FILE) {
    EXPECT_FALSE(closed.may_be_cut());
  }
  if (!closed.may_be_cut()) {
    ExpectWhole(&agent, flood);
  }
  ExpectInOrder(&agent, "flood");
}

TEST_P(OutputTest, AGrandchildThatHoldsAStreamOpenNeverHangsTheEnd) {
  AgentProcess agent;
  v1::JobSubmission job = Job("held", {"sh", "-c", "setsid sleep 3600 & echo $!"});
  agent.Submit({job});
  const v1::OutputClosed closed = AwaitClosed(&agent, "held");
  EXPECT_TRUE(closed.held_open());
  const std::vector<v1::Event> events = agent.Events("held");
  const pid_t sleeper = std::stoi("0" + OutputOf(events, v1::STREAM_STDOUT));
  KillByPid(sleeper);
  EXPECT_TRUE(AwaitGone(sleeper));
}

TEST_P(OutputTest, ARingKeepsTheLastBytes) {
  AgentProcess agent;
  const uint64_t bytes = 5 * kMiB;
  const Flood flood{"ring", 11, bytes, "binary", GetParam()};
  v1::JobSubmission job = FloodJob(flood);
  job.mutable_spec()->mutable_output()->set_overflow(v1::OUTPUT_OVERFLOW_RING);
  job.mutable_spec()->mutable_output()->set_stream_bytes_max(kMiB);
  agent.Submit({job});
  const v1::OutputClosed closed = AwaitClosed(&agent, "ring");
  EXPECT_EQ(closed.stdout_bytes(), bytes);
  EXPECT_EQ(closed.stdout_begin(), bytes - kMiB);
  std::string all(bytes, '\0');
  FloodBytes(11, "binary").Fill(all.data(), all.size());
  std::string kept;
  uint64_t first = UINT64_MAX;
  const auto take = [&](const v1::ReadOutputResponse& response) {
    first = std::min(first, response.offset());
    kept += response.bytes();
  };
  EXPECT_TRUE(agent.ReadOutput("ring", 0, take).ok());
  EXPECT_EQ(first, closed.stdout_begin());
  EXPECT_TRUE(kept == all.substr(closed.stdout_begin()));
  // Events say of each where its bytes begin.
  std::string told;
  for (const v1::Event& event : agent.Events("ring")) {
    if (event.output().bytes().empty()) continue;
    if (told.empty()) {
      EXPECT_EQ(event.output().bytes_offset(), closed.stdout_begin());
    }
    told += event.output().bytes();
  }
  EXPECT_TRUE(told == kept);
  ExpectInOrder(&agent, "ring");
}

TEST_P(OutputTest, AJobThatWritesPastItsLimitIsEndedWithItsTree) {
  AgentProcess agent;
  agent.Submit({Job("loud", {"sh", "-c", "sleep 3600 & yes"}, v1::OUTPUT_OVERFLOW_END)});
  const v1::OutputClosed closed = AwaitClosed(&agent, "loud");
  EXPECT_EQ(closed.stdout_bytes(), 64u << 10);
  EXPECT_GT(closed.dropped_bytes(), 0u);
  const std::vector<v1::Event> events = agent.Events("loud");
  EXPECT_EQ(FindEvent(events, v1::Event::kOutputLimit).output_limit().limit(), 64u << 10);
  EXPECT_EQ(FindEvent(events, v1::Event::kExited).exited().cause(), v1::END_CAUSE_OUTPUT_LIMIT);
  EXPECT_FALSE(FindEvent(events, v1::Event::kSurvivors).has_survivors());
  EXPECT_EQ(agent.GetJob("loud").outcome(), v1::OUTCOME_SIGNALED);
  EXPECT_EQ(agent.GetJob("loud").signal(), SIGTERM);
  ExpectInOrder(&agent, "loud");
}

TEST_P(OutputTest, ALimitIsKeptByAnAgentThatComesLater) {
  AgentProcess agent;
  // Does not listen to SIGTERM: only an agent that knows what was to be done ends it.
  v1::JobSubmission job =
      Job("deaf", {"sh", "-c", "trap '' TERM; yes | head -c 100000; sleep 3600"},
          v1::OUTPUT_OVERFLOW_END);
  job.mutable_spec()->mutable_kill_grace()->set_seconds(2);
  agent.Submit({job});
  agent.WaitFor("deaf", [](const v1::Event& event) { return event.has_output_limit(); });
  agent.KillAndRestart();
  AwaitClosed(&agent, "deaf");
  EXPECT_EQ(agent.GetJob("deaf").signal(), SIGKILL);
  ExpectInOrder(&agent, "deaf");
}

TEST_P(OutputTest, OfWhatIsTooMuchTheFirstBytesAreKeptAndTheJobGoesOn) {
  AgentProcess agent;
  agent.Submit({Job("much", {"sh", "-c", "yes | head -c 3000000; exit 7"})});
  const v1::OutputClosed closed = AwaitClosed(&agent, "much");
  EXPECT_EQ(closed.stdout_bytes(), 64u << 10);
  EXPECT_EQ(closed.dropped_bytes(), 3'000'000u - (64 << 10));
  EXPECT_EQ(agent.GetJob("much").exit_code(), 7);
  uint64_t size = 0;
  EXPECT_TRUE(agent
                  .ReadOutput("much", 0,
                              [&](const v1::ReadOutputResponse& response) {
                                size += response.bytes().size();
                              })
                  .ok());
  EXPECT_EQ(size, 64u << 10);
}

TEST_P(OutputTest, ForkedCallsWriteWhereTheyAreAsked) {
  AgentProcess agent;
  v1::JobSubmission job = CallJob("call", v1::MODE_AUTO, "demo.print", {"said"});
  job.mutable_spec()->mutable_output()->set_target(GetParam());
  const std::vector<v1::Event> events = agent.Run({job});
  EXPECT_EQ(FindEvent(events, v1::Event::kStarting).starting().mode(), v1::MODE_FORK);
  EXPECT_EQ(OutputOf(events, v1::STREAM_STDOUT), "said\n");
}

// The oldest that has ended goes first, is said to have gone, and the next agent knows it too.
TEST_P(OutputTest, OutputOfAllJobsTogetherHasABound) {
  AgentProcess agent({"--output-kept", "1M"});
  const auto run = [&](const std::string& id) {
    agent.Run({Job(id, {"sh", "-c", "yes | head -c 500000"}, v1::OUTPUT_OVERFLOW_DROP, kMiB)});
  };
  const auto read = [&](const std::string& id) {
    return agent.ReadOutput(id, 0, [](const v1::ReadOutputResponse&) {}).error_code();
  };
  run("one");
  run("two");
  EXPECT_EQ(read("one"), grpc::StatusCode::OK);
  run("three");
  EXPECT_EQ(read("one"), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(read("two"), grpc::StatusCode::OK);
  EXPECT_EQ(read("three"), grpc::StatusCode::OK);
  agent.KillAndRestart();
  EXPECT_EQ(read("one"), grpc::StatusCode::OUT_OF_RANGE);
  run("four");
  EXPECT_EQ(read("two"), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(read("three"), grpc::StatusCode::OK);
}

std::string NameOfTarget(const ::testing::TestParamInfo<v1::OutputTarget>& target) {
  return target.param == v1::OUTPUT_TARGET_FILE ? "File" : "Pipe";
}
INSTANTIATE_TEST_SUITE_P(Targets, OutputTest,
                         ::testing::Values(v1::OUTPUT_TARGET_PIPE, v1::OUTPUT_TARGET_FILE),
                         NameOfTarget);

}  // namespace
}  // namespace brood::testing
