// SPDX-License-Identifier: Apache-2.0
//
// Streams of the client library over connections that break, agents that die, and peers that fall
// silent: each event is handed on once and in order, each job is started once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "common/base/clock.h"
#include "common/job/event_order.h"
#include "controller/client/event_stream.h"
#include "controller/client/output_reader.h"
#include "controller/client/run_stream.h"
#include "tests/testing/agent_process.h"
#include "tests/testing/fault_proxy.h"

namespace brood::testing {
namespace {

using ::testing::ElementsAre;

// Links that are cut on purpose need not be waited for politely.
ResumeOptions Eager() {
  ResumeOptions options;
  options.policy.first_pause_ns = 5'000'000;
  options.policy.longest_pause_ns = 50'000'000;
  options.policy.give_up_unreached_ns = options.policy.give_up_after_ns;
  options.policy.failures_max = 1'000'000;
  return options;
}

std::unique_ptr<Connection> Connect(const std::string& target) {
  return std::move(*Connection::Open({"host", target, true}));
}
std::unique_ptr<Connection> Connect(const AgentProcess& agent) {
  return Connect("unix:" + agent.socket_path());
}

v1::JobSubmission AddOne(const std::string& id, const std::string& cell) {
  return CallJob(id, v1::MODE_THREAD, "demo.add", {cell, "1"});
}

int64_t ValueOf(Connection& connection, const std::string& cell) {
  v1::ReadMemoryRequest request;
  request.add_cells(cell);
  const auto answer = connection.ReadMemory(request);
  return answer && answer->cells_size() == 1 ? answer->cells(0).value().int_value() : -1;
}

// The cursors from 1 to the last of what an agent has, as it tells them on a sound link.
std::vector<uint64_t> AllCursors(const AgentProcess& agent) {
  const auto connection = Connect(agent);
  EventStream stream(*connection, {});
  std::vector<uint64_t> cursors;
  for (v1::WatchEventsResponse batch; stream.NextBatch(&batch);) {
    for (const v1::Event& event : batch.events()) cursors.push_back(event.cursor());
  }
  EXPECT_FALSE(stream.Finish());
  return cursors;
}

// Every kind, by each seed.
constexpr size_t kFaultsEach = kFaults - 1;
constexpr int kRunJobs = 200;

class FaultsTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(FaultsTest, AWatchHandsEachEventOnOnceAndInOrder) {
  AgentProcess agent;
  std::vector<v1::JobSubmission> jobs;
  for (int i = 0; i < 30; ++i) {
    jobs.push_back(CommandJob("watched" + std::to_string(i),
                              {"sh", "-c", "head -c 60000 /dev/zero; echo; echo two >&2"}));
  }
  agent.Run(jobs, false);
  const std::vector<uint64_t> all = AllCursors(agent);
  FaultProxy proxy({"unix:" + agent.socket_path(), GetParam(), kFaultsEach});
  const auto connection = Connect(proxy.address());
  v1::WatchEventsRequest request;
  request.set_include_output(true);
  request.set_follow(true);
  // Again, until every kind has had its turn.
  while (proxy.connections() <= kFaultsEach) {
    proxy.ResetAll();
    EventStream stream(*connection, request, Eager());
    std::vector<uint64_t> cursors;
    size_t output = 0;
    for (v1::WatchEventsResponse batch; cursors.size() < all.size() && stream.NextBatch(&batch);) {
      for (const v1::Event& event : batch.events()) {
        cursors.push_back(event.cursor());
        output += event.output().bytes().size();
      }
    }
    ASSERT_EQ(cursors, all) << "seed " << GetParam();
    EXPECT_EQ(output, 30u * 60'005u);
  }
  EXPECT_GE(proxy.struck(), kFaultsEach / 2);
}

TEST_P(FaultsTest, ARunStartsEachJobOnceAndSeesAllOfIt) {
  AgentProcess agent({"--thread-slots", "64"});
  FaultProxy proxy({"unix:" + agent.socket_path(), GetParam(), kFaultsEach, Fault::kNone, 8 << 10});
  const auto connection = Connect(proxy.address());
  int jobs = 0;
  // Again, until every kind has had its turn.
  for (int round = 0; proxy.connections() <= kFaultsEach; ++round) {
    proxy.ResetAll();
    RunStream run(*connection, true, Eager());
    std::thread submitter([&run, round] {
      for (int i = 0; i < kRunJobs; i += 20) {
        std::vector<v1::JobSubmission> some;
        for (int one = i; one < i + 20; ++one)
          some.push_back(AddOne("r" + std::to_string(round) + "j" + std::to_string(one), "sum"));
        EXPECT_FALSE(run.Submit(std::move(some)));
      }
      run.CloseSubmissions();
    });
    // Jobs that were submitted again are told of beside the others: each job's events are in order.
    std::map<std::string, EventOrder> orders;
    std::map<std::string, int> answers;
    while (const auto item = run.Next()) {
      if (const auto* const answer = std::get_if<v1::SubmittedJob>(&*item)) {
        EXPECT_EQ(answer->error_code(), 0) << answer->error_message();
        EXPECT_EQ(++answers[answer->job_id()], 1);
        continue;
      }
      const auto& event = std::get<v1::Event>(*item);
      const Status wrong = orders[event.job_id()].Check(event);
      EXPECT_FALSE(wrong) << wrong->message << ", seed " << GetParam();
    }
    submitter.join();
    const Status end = run.Finish();
    ASSERT_FALSE(end) << end->message;
    // Each of them was seen to be cleaned.
    for (const auto& [id, order] : orders) EXPECT_FALSE(order.Finish()) << id;
    EXPECT_EQ(orders.size(), static_cast<size_t>(kRunJobs));
    EXPECT_EQ(answers.size(), static_cast<size_t>(kRunJobs));
    jobs += kRunJobs;
    EXPECT_EQ(ValueOf(*Connect(agent), "sum"), jobs);
  }
  EXPECT_GE(proxy.struck(), kFaultsEach / 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, FaultsTest, ::testing::Values(1, 2, 3));

TEST(StreamsGoOnTest, SubmittingTwiceAndOverCutRepliesStartsEachJobOnce) {
  constexpr int kJobs = 20'000;
  constexpr int kBatch = 20;
  AgentProcess agent({"--thread-slots", "256", "--queue-limit", "30000"});
  // A batch and its answer are some 2 KB: one in ten is cut.
  FaultProxy proxy({"unix:" + agent.socket_path(), 7, 1'000'000, Fault::kCutMidMessage, 40'000});
  std::mt19937_64 random(7);
  int lost = 0;
  int doubled = 0;
  const auto submit = [&](Connection& connection, const v1::SubmitJobsRequest& request) {
    for (;;) {
      const auto response = connection.SubmitJobs(request);
      if (response) {
        for (const v1::SubmittedJob& job : response->accepted())
          ASSERT_EQ(job.error_code(), 0) << job.error_message();
        return;
      }
      ASSERT_TRUE(IsLostLink(response.error(), false)) << response.error().message;
      ++lost;
    }
  };
  const auto connection = Connect(proxy.address());
  for (int first = 0; first < kJobs; first += kBatch) {
    v1::SubmitJobsRequest request;
    for (int i = first; i < first + kBatch; ++i)
      *request.add_jobs() = AddOne("j" + std::to_string(i), "sum");
    submit(*connection, request);
    if (random() % 10 >= 3) continue;
    ++doubled;
    submit(*connection, request);
  }
  EXPECT_GT(proxy.struck(), 50u);
  EXPECT_GT(doubled, 200);
  const auto sound = Connect(agent);
  v1::WatchEventsRequest request;
  request.set_follow(true);
  EventStream stream(*sound, request);
  std::map<std::string, int> received;
  std::set<std::string> cleaned;
  for (v1::WatchEventsResponse batch; cleaned.size() < kJobs && stream.NextBatch(&batch);) {
    for (const v1::Event& event : batch.events()) {
      if (event.has_received()) ++received[event.job_id()];
      if (event.has_cleaned()) cleaned.insert(event.job_id());
    }
  }
  EXPECT_EQ(received.size(), static_cast<size_t>(kJobs));
  for (const auto& [id, times] : received) EXPECT_EQ(times, 1) << id;
  EXPECT_EQ(ValueOf(*sound, "sum"), kJobs);
}

void Count(std::atomic<int>* count) {
  ++*count;
  count->notify_all();
}
void AwaitAtLeast(const std::atomic<int>& count, int wanted) {
  for (int now = count; now < wanted; now = count) count.wait(now);
}

// A job that says "one", waits for a file, and says "two".
v1::JobSubmission InTwoParts(const AgentProcess& agent, const std::string& id) {
  return CommandJob(id, {"sh", "-c",
                         "echo one; while [ ! -e " + agent.directory() +
                             "/gate ]; do sleep 0.02; done; echo two; exit 3"});
}

TEST(StreamsGoOnTest, ARunAWatchAndAnOutputGoOnWhenTheAgentIsKilled) {
  AgentProcess agent;
  const auto connection = Connect(agent);
  RunStream run(*connection, true);
  ASSERT_FALSE(run.Submit({InTwoParts(agent, "parts")}));
  std::atomic<int> ready{0};
  std::string watched;
  std::vector<uint64_t> seqs;
  std::string read;
  const auto wait_for_job = [&] {
    agent.WaitFor("parts", [](const v1::Event& event) { return event.has_output(); });
  };
  std::string ran;
  std::vector<uint64_t> run_seqs;
  std::thread runner([&] {
    while (const auto item = run.Next()) {
      const auto* const event = std::get_if<v1::Event>(&*item);
      if (event == nullptr) continue;
      run_seqs.push_back(event->seq());
      ran += event->output().bytes();
      if (event->has_output()) Count(&ready);
    }
  });
  AwaitAtLeast(ready, 1);
  wait_for_job();
  std::thread watcher([&] {
    v1::WatchEventsRequest request;
    request.add_job_ids("parts");
    request.set_follow(true);
    request.set_include_output(true);
    EventStream stream(*connection, request);
    for (v1::WatchEventsResponse batch; stream.NextBatch(&batch);) {
      for (const v1::Event& event : batch.events()) {
        seqs.push_back(event.seq());
        watched += event.output().bytes();
        if (event.has_output()) Count(&ready);
      }
    }
    EXPECT_FALSE(stream.Finish());
  });
  std::thread reader([&] {
    v1::ReadOutputRequest request;
    request.set_job_id("parts");
    request.set_stream(v1::STREAM_STDOUT);
    request.set_follow(true);
    OutputReader stream(*connection, request);
    for (std::string bytes; stream.Next(&bytes); Count(&ready)) read += bytes;
    EXPECT_FALSE(stream.Finish());
  });
  AwaitAtLeast(ready, 3);
  agent.KillAndRestart();
  std::ofstream(agent.directory() + "/gate").close();
  run.CloseSubmissions();
  runner.join();
  watcher.join();
  reader.join();
  EXPECT_FALSE(run.Finish());
  EXPECT_EQ(ran, "one\ntwo\n");
  EXPECT_EQ(watched, "one\ntwo\n");
  EXPECT_EQ(read, "one\ntwo\n");
  EXPECT_EQ(seqs, run_seqs);
  for (size_t i = 0; i < seqs.size(); ++i) EXPECT_EQ(seqs[i], i + 1);
}

TEST(StreamsGoOnTest, ASilentPeerIsFoundOutByBothSidesWithinSeconds) {
  AgentProcess agent;
  FaultProxy proxy({"unix:" + agent.socket_path(), 1});
  const auto connection = Connect(proxy.address());
  v1::WatchEventsRequest request;
  request.set_follow(true);
  request.set_only_new(true);
  EventStream stream(*connection, request, Eager());
  v1::WatchEventsResponse batch;
  ASSERT_TRUE(stream.NextBatch(&batch));
  proxy.StallAll();
  // Nobody says anything meanwhile: only keepalive can know. 10 s to the ping, 5 s to its answer.
  std::thread patient([&] {
    EXPECT_TRUE(proxy.AwaitClosedByClient(1, 25));
    EXPECT_TRUE(proxy.AwaitClosedByAgent(1, 25));
    agent.Run({CommandJob("after", {"true"})});
  });
  std::string seen;
  while (seen != "after" && stream.NextBatch(&batch)) {
    for (const v1::Event& event : batch.events()) seen = event.job_id();
  }
  patient.join();
  EXPECT_EQ(seen, "after");
  EXPECT_EQ(proxy.connections(), 2u);
}

TEST(StreamsGoOnTest, OutputIsExactOverManyReconnects) {
  // 16 times as much as one stream keeps is 1 GiB.
  constexpr int kJobs = 16;
  constexpr const char kBytes[] = "67108864";
  AgentProcess agent;
  FaultProxy proxy({"unix:" + agent.socket_path(), 5, 60, Fault::kNone, 8 << 20});
  const auto sound = Connect(agent);
  const auto faulty = Connect(proxy.address());
  for (int i = 0; i < kJobs; ++i) {
    const std::string id = "exact" + std::to_string(i);
    const std::string sums = agent.directory() + "/" + id;
    v1::SubmitJobsRequest submit;
    *submit.add_jobs() = CommandJob(
        id, {"sh", "-c",
             std::string("{ head -c ") + kBytes + " /dev/urandom | tee /dev/fd/3 | sha256sum >" +
                 sums + ".there; } 3>&1"});
    ASSERT_TRUE(sound->SubmitJobs(submit));
    v1::ReadOutputRequest request;
    request.set_job_id(id);
    request.set_stream(v1::STREAM_STDOUT);
    request.set_follow(true);
    FILE* const sum = ::popen(("sha256sum >" + sums + ".here").c_str(), "w");
    ASSERT_NE(sum, nullptr);
    OutputReader stream(*faulty, request, Eager());
    for (std::string bytes; stream.Next(&bytes);)
      ASSERT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), sum), bytes.size());
    const Status end = stream.Finish();
    EXPECT_EQ(::pclose(sum), 0);
    ASSERT_FALSE(end) << end->message;
    EXPECT_EQ(std::to_string(stream.offset()), kBytes) << agent.GetJob(id).ShortDebugString();
    std::string there;
    std::string here;
    std::getline(std::ifstream(sums + ".there"), there);
    std::getline(std::ifstream(sums + ".here"), here);
    EXPECT_EQ(here, there);
    EXPECT_EQ(here.size(), 67u);
  }
  EXPECT_GE(proxy.struck(), 20u);
}

}  // namespace
}  // namespace brood::testing
