// SPDX-License-Identifier: Apache-2.0
//
// Commands on jobs by id: the real program, fake agents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/testing/cli_world.h"

namespace brood::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ByIdTest : public ::testing::Test {
 protected:
  // Runs a job on these hosts and returns its id.
  std::string Detach(const std::string& hosts = "") {
    std::vector<std::string> words = {"run", "-d"};
    if (!hosts.empty()) words.insert(words.end(), {"-w", hosts});
    words.push_back("x");
    const std::string out = world_.Run(words).out;
    return out.substr(out.find('/') + 1, 12);
  }
  CliWorld world_;
};

TEST_F(ByIdTest, ShowsAJobByHostAndIdByIdByPrefixAndAsLast) {
  world_.Local(Always(Exits(3)));
  const std::string id = Detach();
  for (const std::string& word : {"local/" + id, id, id.substr(0, 5), std::string("last")}) {
    const ProgramEnd end = world_.Run({"show", word, "-o", "json"});
    ASSERT_EQ(end.exit_code, 0) << end.err;
    const auto job = nlohmann::json::parse(end.out);
    EXPECT_EQ(job["jobId"], id);
    EXPECT_EQ(job["exitCode"], 3);
    EXPECT_EQ(job["state"], "ENDED");
    EXPECT_EQ(job["pid"], 4711);
  }
}

TEST_F(ByIdTest, FindsAJobOfANamedHostWithoutItsHost) {
  world_.Host("a1", Always(Exits(0)));
  const std::string id = Detach("a1");
  EXPECT_THAT(world_.Run({"show", id}).out, HasSubstr("job: a1/" + id));
}

TEST_F(ByIdTest, TakesARunsIdForAllItsJobs) {
  world_.Host("a1", Always(Exits(1)));
  world_.Host("a2", Always(Exits(2)));
  const std::string id = Detach("a1,a2");
  EXPECT_EQ(world_.Run({"show", id, "-o", "name"}).out, "a1/" + id + "\na2/" + id + "\n");
  EXPECT_EQ(world_.Run({"show", "a2/" + id, "-o", "name"}).out, "a2/" + id + "\n");
  EXPECT_EQ(world_.Run({"wait", "last"}).exit_code, 2);
}

TEST_F(ByIdTest, RefusesABeginningOfSeveralRuns) {
  FakeAgent& agent = world_.Local(Always(Exits(0)));
  // With 32 letters to begin with, two of 33 runs begin alike.
  for (int i = 0; i < 33; ++i) Detach();
  std::map<char, int> beginnings;
  for (const auto& job : agent.submissions()) ++beginnings[job.job_id()[0]];
  std::string twice;
  for (const auto& [letter, count] : beginnings) {
    if (count > 1) twice = letter;
  }
  const ProgramEnd end = world_.Run({"show", twice});
  EXPECT_EQ(end.exit_code, 1);
  EXPECT_THAT(end.err, HasSubstr("is the beginning of several jobs' ids"));
}

TEST_F(ByIdTest, SaysClearlyThatAnIdIsUnknown) {
  world_.Local(Always(Exits(0)));
  for (const std::string command : {"show", "wait", "logs", "cancel", "kill", "events"}) {
    const ProgramEnd end = world_.Run({command, "nope"});
    // `wait` answers as `run` does: 1 would be the job's.
    EXPECT_EQ(end.exit_code, command == "wait" ? 125 : 1) << command;
    EXPECT_THAT(end.err, HasSubstr("there is no job 'nope' on local")) << command;
  }
  EXPECT_THAT(world_.Run({"show", "last"}).err, HasSubstr("there is no last run yet"));
}

TEST_F(ByIdTest, ExitsWith2ForWordsItCannotRead) {
  EXPECT_EQ(world_.Run({"show"}).exit_code, 2);
  EXPECT_EQ(world_.Run({"ps", "--nonsense"}).exit_code, 2);
  EXPECT_EQ(world_.Run({"kill", "-s", "NOPE", "x"}).exit_code, 2);
  EXPECT_EQ(world_.Run({"nonsense"}).exit_code, 2);
  EXPECT_EQ(world_.Run({"wait"}).exit_code, 125);
}

TEST_F(ByIdTest, SaysThatNoAgentRuns) {
  const ProgramEnd end = world_.Run({"ps"});
  EXPECT_EQ(end.exit_code, 1);
  EXPECT_THAT(end.err, HasSubstr("no agent runs on this machine"));
}

TEST_F(ByIdTest, ListsJobsAcrossPagesTheNewestFirst) {
  FakeAgent& agent = world_.Local(Always(Exits(0)));
  std::string lines;
  for (int i = 0; i < 250; ++i) lines += "x\n";
  world_.Run({"run", "-d", "--each", "-", "true"}, lines);
  const std::string names = world_.Run({"ps", "-o", "name", "-n", "1000"}).out;
  EXPECT_EQ(std::count(names.begin(), names.end(), '\n'), 250);
  EXPECT_EQ(names.rfind("local/" + agent.submissions().back().job_id() + "\n", 0), 0u);
  const auto json = nlohmann::json::parse(world_.Run({"ps", "-o", "json", "-n", "3"}).out);
  EXPECT_EQ(json["jobs"].size(), 3u);
}

TEST_F(ByIdTest, WaitsAndExitsAsRunDoes) {
  FakeAgent& agent = world_.Local(Always(RunsUntilCancelled()));
  const std::string id = Detach();
  Program wait(world_.Setup({"wait", id}));
  EXPECT_EQ(world_.Run({"cancel", id}).exit_code, 0);
  const ProgramEnd end = wait.End();
  EXPECT_EQ(end.exit_code, 143);
  EXPECT_THAT(end.err, HasSubstr("cancelled"));
  EXPECT_THAT(agent.cancelled(), ElementsAre(id));
}

TEST_F(ByIdTest, PrintsTheOutputThatWasKept) {
  world_.Local(Always(Exits(0, std::string("o\0t", 3), "err\n")));
  Detach();
  const ProgramEnd end = world_.Run({"logs", "last"});
  EXPECT_EQ(end.out, std::string("o\0t", 3));
  EXPECT_EQ(end.err, "err\n");
}

TEST_F(ByIdTest, FollowsOutputUntilTheJobEnds) {
  world_.Local(Always(RunsUntilCancelled("up\n")));
  const std::string id = Detach();
  Program logs(world_.Setup({"logs", "-f", id}));
  EXPECT_TRUE(logs.AwaitOut("up\n"));
  world_.Run({"cancel", id});
  EXPECT_EQ(logs.End().exit_code, 0);
}

TEST_F(ByIdTest, DiesQuietlyWhenNobodyReadsWhatItFollows) {
  FakeAgent& agent = world_.Local(Always(RunsUntilCancelled("up\n")));
  const std::string id = Detach();
  Program events(world_.Setup({"events", "-f"}));
  ASSERT_TRUE(events.AwaitOut("OUTPUT"));
  events.CloseOutput();
  world_.Run({"cancel", id});
  const ProgramEnd end = events.End();
  EXPECT_EQ(end.signal, SIGPIPE);
  EXPECT_EQ(end.err, "");
  EXPECT_EQ(agent.cancelled().size(), 1u);
}

TEST_F(ByIdTest, PrintsEventsAndGoesOnAfterAToken) {
  world_.Local(Always(Exits(0, "x")));
  Detach();
  const ProgramEnd all = world_.Run({"events", "last"});
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), '\n'), 7);
  EXPECT_THAT(all.out, HasSubstr("EXITED  code 0"));
  EXPECT_THAT(all.err, HasSubstr("--after 7"));
  const ProgramEnd rest = world_.Run({"events", "--after", "5", "-o", "jsonl"});
  EXPECT_EQ(std::count(rest.out.begin(), rest.out.end(), '\n'), 2);
}

TEST_F(ByIdTest, FollowsEventsAcrossAnAgentThatGoesAwayForAMoment) {
  FakeAgent& agent = world_.Local(Always(Exits(0, "x")));
  Detach();
  agent.BreakWatchAfter(3);
  const ProgramEnd end = world_.Run({"events", "-f", "last"});
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_EQ(std::count(end.out.begin(), end.out.end(), '\n'), 7);
}

TEST_F(ByIdTest, SendsSignalsToTheGroupOfAJob) {
  FakeAgent& agent = world_.Local(Always(RunsUntilCancelled()));
  const std::string id = Detach();
  EXPECT_EQ(world_.Run({"kill", "-s", "usr1", id}).exit_code, 0);
  EXPECT_EQ(world_.Run({"kill", "--leader", "-s", "9", id}).exit_code, 0);
  ASSERT_EQ(agent.signals().size(), 2u);
  EXPECT_EQ(agent.signals()[0].signal(), SIGUSR1);
  EXPECT_TRUE(agent.signals()[0].whole_group());
  EXPECT_EQ(agent.signals()[1].signal(), SIGKILL);
  EXPECT_FALSE(agent.signals()[1].whole_group());
}

TEST_F(ByIdTest, SaysWhichJobCouldNotBeSignalled) {
  world_.Local(Always(Exits(0)));
  const std::string id = Detach();
  const ProgramEnd end = world_.Run({"kill", id});
  EXPECT_EQ(end.exit_code, 1);
  EXPECT_EQ(end.err, "brood: local/" + id + ": the job has ended\n");
}

}  // namespace
}  // namespace brood::testing
