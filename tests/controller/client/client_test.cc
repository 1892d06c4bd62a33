// SPDX-License-Identifier: Apache-2.0
//
// The client library against fake agents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "controller/client/connection.h"
#include "controller/client/each_host.h"
#include "controller/client/event_stream.h"
#include "controller/client/fan_out.h"
#include "controller/client/run_stream.h"
#include "tests/testing/fake_agent.h"
#include "tests/testing/temp_directory.h"

namespace brood::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ClientTest : public ::testing::Test {
 protected:
  FakeAgent& Agent(const std::string& name, const FakeJob& job) {
    agents_.push_back(std::make_unique<FakeAgent>(directory_.path() + "/" + name, name,
                                                  [job](const v1::JobSubmission&) { return job; }));
    return *agents_.back();
  }
  HostAddress Address(const std::string& name) const {
    return {name, "unix:" + directory_.path() + "/" + name, false};
  }
  std::unique_ptr<Connection> Connect(const std::string& name) const {
    return std::move(*Connection::Open(Address(name)));
  }
  static v1::JobSubmission Job(const std::string& id) {
    v1::JobSubmission job;
    job.set_job_id(id);
    job.mutable_spec()->mutable_command()->add_argv("x");
    return job;
  }
  TempDirectory directory_;
  std::vector<std::unique_ptr<FakeAgent>> agents_;
};

TEST_F(ClientTest, CarriesTheReasonAndFieldOfAnError) {
  Agent("a", Exits(0));
  v1::GetJobRequest request;
  request.set_job_id("nope");
  const auto answer = Connect("a")->GetJob(request);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(answer.error().reason, "NO_SUCH_JOB");
  EXPECT_EQ(answer.error().field, "job_id");
  EXPECT_EQ(answer.error().message, "there is no job 'nope'");
}

TEST_F(ClientTest, SaysWhereNobodyCouldBeReached) {
  const auto answer = Connect("nobody")->GetHost({});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(answer.error().reason, "UNREACHABLE");
  EXPECT_THAT(answer.error().message, HasSubstr("nobody'"));
}

TEST_F(ClientTest, GivesUpAtTheDeadline) {
  Agent("a", Exits(0)).Hang();
  const auto answer = Connect("a")->GetHost({}, {std::chrono::milliseconds(50)});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(answer.error().reason, "NO_ANSWER");
}

TEST_F(ClientTest, RefusesAddressesThatAreNoneOrNotSafe) {
  const auto code = [](const std::string& target, bool insecure) {
    const auto connection = Connection::Open({"h", target, insecure});
    return connection.ok() ? "" : connection.error().reason;
  };
  EXPECT_EQ(code("unix:relative", false), "BAD_ADDRESS");
  EXPECT_EQ(code("host", true), "BAD_ADDRESS");
  for (const char* target : {"host:99999", "host:0", "host:", ":80", "host:+80"})
    EXPECT_EQ(code(target, true), "BAD_ADDRESS") << target;
  EXPECT_EQ(code("127.0.0.1:80", false), "INSECURE_ADDRESS");
  EXPECT_EQ(code("10.0.0.1:80", true), "INSECURE_ADDRESS");
  EXPECT_EQ(code("127.evil.example:80", true), "INSECURE_ADDRESS");
  EXPECT_EQ(code("127.0.0.1:80", true), "");
  EXPECT_EQ(code("[::1]:80", true), "");
}

TEST_F(ClientTest, StreamsAnswersThenEventsAndEndsWhenAllIsCleaned) {
  FakeAgent& agent = Agent("a", Exits(0));
  const auto connection = Connect("a");
  RunStream stream(*connection, true);
  std::vector<v1::JobSubmission> jobs;
  // More than one message holds.
  for (int i = 0; i < 100; ++i) jobs.push_back(Job("j" + std::to_string(i)));
  ASSERT_FALSE(stream.Submit(jobs));
  stream.CloseSubmissions();
  int answers = 0;
  int cleaned = 0;
  while (auto item = stream.Next()) {
    if (std::holds_alternative<v1::SubmittedJob>(*item)) {
      ++answers;
    } else {
      cleaned += std::get<v1::Event>(*item).has_cleaned() ? 1 : 0;
    }
  }
  EXPECT_FALSE(stream.Finish());
  EXPECT_EQ(answers, 100);
  EXPECT_EQ(cleaned, 100);
  EXPECT_EQ(agent.submissions().size(), 100u);
}

TEST_F(ClientTest, CanBeBrokenOffWhileItReads) {
  Agent("a", RunsUntilCancelled());
  const auto connection = Connect("a");
  RunStream stream(*connection, false);
  ASSERT_FALSE(stream.Submit({Job("j")}));
  std::thread breaker([&] { stream.BreakOff(); });
  while (stream.Next()) {
  }
  breaker.join();
  const Status status = stream.Finish();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, ErrorCode::kCancelled);
}

TEST_F(ClientTest, ResumesAFollowedStreamWithoutALossOrARepetition) {
  FakeAgent& agent = Agent("a", Exits(0, "x"));
  const auto connection = Connect("a");
  v1::SubmitJobsRequest submit;
  *submit.add_jobs() = Job("j");
  ASSERT_TRUE(connection->SubmitJobs(submit).ok());
  agent.BreakWatchAfter(2);
  v1::WatchEventsRequest request;
  request.add_job_ids("j");
  request.set_follow(true);
  EventStream stream(*connection, request);
  std::vector<uint64_t> seqs;
  for (v1::WatchEventsResponse batch; stream.NextBatch(&batch);) {
    for (const v1::Event& event : batch.events()) seqs.push_back(event.seq());
  }
  EXPECT_FALSE(stream.Finish());
  EXPECT_THAT(seqs, ElementsAre(1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(stream.resume_token(), "7");
}

TEST_F(ClientTest, EndsAStreamThatNobodyServesWhenPatienceIsOver) {
  const auto connection = Connect("nobody");
  v1::WatchEventsRequest request;
  request.set_follow(true);
  EventStream stream(*connection, request);
  v1::WatchEventsResponse batch;
  EXPECT_FALSE(stream.NextBatch(&batch));
  ASSERT_TRUE(stream.Finish());
  EXPECT_EQ(stream.Finish()->reason, "UNREACHABLE");
}

TEST_F(ClientTest, AsksEveryHostAndReportsEachByItself) {
  Agent("a", Exits(0));
  Agent("b", Exits(0)).Hang();
  const std::vector<HostAddress> hosts = {Address("a"), Address("b"), {"c", "nonsense", false}};
  std::vector<std::string> names(hosts.size());
  const auto answers = EachHost(hosts, [&](size_t i, Connection& connection) -> Status {
    const auto host = connection.GetHost({}, {std::chrono::milliseconds(200)});
    if (!host) return host.error();
    names[i] = host->host().name();
    return Ok();
  });
  EXPECT_FALSE(answers[0]);
  EXPECT_EQ(names[0], "a");
  ASSERT_TRUE(answers[1]);
  EXPECT_EQ(answers[1]->reason, "NO_ANSWER");
  ASSERT_TRUE(answers[2]);
  EXPECT_EQ(answers[2]->reason, "BAD_ADDRESS");
}

// Writes down what a fan-out tells, and stops the loop when `until` says so.
class Notes final : public FanOut::Observer {
 public:
  explicit Notes(EventLoop& loop) : loop_(loop) {}
  void OnSubmitted(size_t host, const v1::SubmittedJob& job) override {
    said.push_back(std::to_string(host) + " submitted " + job.job_id());
    Look();
  }
  void OnEvent(size_t host, const v1::Event& event) override {
    if (event.has_cleaned()) said.push_back(std::to_string(host) + " cleaned " + event.job_id());
    if (event.has_output()) output += event.output().bytes();
    Look();
  }
  void OnHostEnd(size_t host, const Status& status) override {
    said.push_back(std::to_string(host) + " ended " + (status ? status->reason : "well"));
    Look();
  }
  void OnInputTaken(size_t, bool open) override {
    said.push_back(open ? "more input" : "no more input");
    Look();
  }
  void OnHost(size_t host, const v1::Host& state) override {
    said.push_back(std::to_string(host) + " is " + state.name());
    Look();
  }
  bool Said(const std::string& what) const {
    return std::find(said.begin(), said.end(), what) != said.end();
  }
  void RunUntil(std::function<bool()> enough) {
    until = std::move(enough);
    loop_.Run();
  }

  std::vector<std::string> said;
  std::string output;
  std::function<bool()> until;

 private:
  void Look() {
    if (until && until()) loop_.Stop();
  }
  EventLoop& loop_;
};

TEST_F(ClientTest, FansOutAndLetsASlowHostDelayNoOther) {
  Agent("a", Exits(0)).Hang();
  Agent("b", Exits(0));
  const auto slow = Connect("a");
  const auto fast = Connect("b");
  const auto dead = Connect("nobody");
  const auto loop = std::move(*EventLoop::Create());
  Notes notes(*loop);
  FanOut fan_out(*loop, notes, true);
  for (Connection* one : {slow.get(), fast.get(), dead.get()}) {
    const size_t host = fan_out.AddHost(*one);
    fan_out.Submit(host, {Job("j")});
    fan_out.CloseSubmissions(host);
  }
  fan_out.AskHost(1);
  notes.RunUntil([&] {
    return notes.Said("1 ended well") && notes.Said("2 ended UNREACHABLE") && notes.Said("1 is b");
  });
  EXPECT_TRUE(notes.Said("1 submitted j"));
  EXPECT_TRUE(notes.Said("1 cleaned j"));
}

TEST_F(ClientTest, TellsTheEndOfEveryHostWhenItIsBrokenOff) {
  Agent("a", RunsUntilCancelled());
  const auto connection = Connect("a");
  const auto loop = std::move(*EventLoop::Create());
  Notes notes(*loop);
  FanOut fan_out(*loop, notes, false);
  fan_out.Submit(fan_out.AddHost(*connection), {Job("j")});
  fan_out.Pause();
  fan_out.BreakOff();
  notes.RunUntil([&] { return notes.Said("0 ended CANCELLED"); });
}

TEST_F(ClientTest, GivesAJobItsInputPieceByPiece) {
  FakeJob reads;
  reads.events = Beginning();
  reads.until_input_end = true;
  reads.ending = Closing();
  Agent("a", reads);
  const auto connection = Connect("a");
  const auto loop = std::move(*EventLoop::Create());
  Notes notes(*loop);
  FanOut fan_out(*loop, notes, true);
  fan_out.Submit(fan_out.AddHost(*connection), {Job("j")});
  fan_out.CloseSubmissions(0);
  int pieces = 0;
  notes.until = [&] {
    const bool ready = notes.said.back() == "0 submitted j" || notes.said.back() == "more input";
    if (ready && pieces < 3) {
      ++pieces;
      notes.said.emplace_back("sent");
      fan_out.WriteInput(0, "j", pieces < 3 ? "piece " : "");
    }
    return notes.Said("0 ended well");
  };
  loop->Run();
  EXPECT_EQ(notes.output, "piece piece ");
}

}  // namespace
}  // namespace brood::testing
