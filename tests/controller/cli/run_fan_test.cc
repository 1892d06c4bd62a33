// SPDX-License-Identifier: Apache-2.0
//
// `brood run` on many hosts: the real program, fake agents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/testing/cli_world.h"

namespace brood::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string Bytes(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

std::string Gathered(const std::string& hosts, const std::string& text) {
  return "---------------\n" + hosts + "\n---------------\n" + text;
}

TEST(RunFanTest, StartsNoMoreHostsAtOnceThanAskedAndTheNextWhenOneHasEnded) {
  CliWorld world;
  std::vector<FakeAgent*> agents;
  for (int i = 1; i <= 5; ++i) {
    agents.push_back(&world.Host("a" + std::to_string(i), Always(RunsUntilCancelled("up\n"))));
  }
  const auto started = [&agents] {
    return std::count_if(agents.begin(), agents.end(),
                         [](FakeAgent* agent) { return !agent->submissions().empty(); });
  };
  Program run(world.Setup({"run", "-w", "a[1-5]", "-f", "2", "sleep"}));
  ASSERT_TRUE(run.AwaitOut("a1: up\n"));
  ASSERT_TRUE(run.AwaitOut("a2: up\n"));
  EXPECT_EQ(started(), 2);
  const ProgramEnd ended =
      world.Run({"cancel", "-w", "a1", agents[0]->submissions().at(0).job_id()});
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  ASSERT_TRUE(run.AwaitOut("a3: up\n"));
  EXPECT_EQ(started(), 3);
  run.Signal(SIGTERM);
  const ProgramEnd end = run.End();
  EXPECT_EQ(end.signal, SIGTERM);
  EXPECT_EQ(started(), 3);
  EXPECT_THAT(end.err, HasSubstr("brood: a[4-5]: not started\n"));
}

TEST(RunFanTest, RunsAllHostsOneAfterTheOther) {
  CliWorld world;
  std::string expected;
  for (int i = 1; i <= 6; ++i) {
    const std::string name = "a" + std::to_string(i);
    world.Host(name, Always(Exits(0, "x\n")));
    expected += name + ": x\n";
  }
  const ProgramEnd end = world.Run({"run", "-w", "a[1-6]", "--fanout", "1", "true"});
  EXPECT_EQ(end.out, expected);
  EXPECT_EQ(end.exit_code, 0);
}

TEST(RunFanTest, PrintsEqualOutputOnceUnderFoldedHostsAndKeepsTheStreamsApart) {
  CliWorld world;
  for (const int i : {1, 2, 4})
    world.Host("a" + std::to_string(i), Always(Exits(0, "6.1\n", "w\n")));
  world.Host("a3", Always(Exits(0, "6.2\nno end")));
  world.Host("a5", Always(Exits(0)));
  const ProgramEnd end = world.Run({"run", "-b", "-w", "a[1-5]", "--", "x"});
  EXPECT_EQ(end.out, Gathered("a[1-2,4]", "6.1\n") + Gathered("a3", "6.2\nno end\n"));
  EXPECT_EQ(end.err, Gathered("a[1-2,4]", "w\n"));
  EXPECT_EQ(end.exit_code, 0);
}

TEST(RunFanTest, GathersHowJobsEndAndTheHighestCodeToo) {
  CliWorld world;
  for (int i = 1; i <= 3; ++i) world.Host("a" + std::to_string(i), Always(Exits(i == 1 ? 0 : 3)));
  const ProgramEnd end = world.Run({"run", "-b", "-w", "a[1-3]", "--", "x"});
  EXPECT_EQ(end.err, "brood: a[2-3]: exited 3\n");
  EXPECT_EQ(end.exit_code, 3);
}

TEST(RunFanTest, GathersTheValuesOfCalls) {
  CliWorld world;
  v1::Value five;
  five.set_int_value(5);
  for (int i = 1; i <= 3; ++i)
    world.Host("a" + std::to_string(i), Always(Ends({ReturnedEvent(five)})));
  EXPECT_EQ(world.Run({"run", "-b", "-w", "a[1-3]", "--call", "demo.x"}).out,
            Gathered("a[1-3]", "5\n"));
}

TEST(RunFanTest, ShowsHowOutputDiffersFromThatOfMostHosts) {
  CliWorld world;
  world.Host("a1", Always(Exits(0, "cpu\ncores 12\n")));
  for (const int i : {2, 3})
    world.Host("a" + std::to_string(i), Always(Exits(0, "cpu\ncores 16\n")));
  const ProgramEnd end = world.Run({"run", "--diff", "-w", "a[1-3]", "--", "x"});
  EXPECT_EQ(end.out, "--- a[2-3] (2)\n+++ a1\n@@ -1,2 +1,2 @@\n cpu\n-cores 16\n+cores 12\n");
  EXPECT_EQ(world.Run({"run", "--diff", "-w", "a[2-3]", "--", "x"}).out, "");
  EXPECT_EQ(world.Run({"run", "--diff", "-w", "a[2-3]", "--", "x"}).err,
            "brood: a[2-3]: no difference\n");
}

TEST(RunFanTest, SaysThatGatheredOutputReachedItsLimitAndDoesNotCallItWhole) {
  CliWorld world;
  std::vector<v1::Event> events;
  events.reserve(21);
  for (int i = 0; i < 20; ++i) events.push_back(OutEvent(std::string(65535, 'x') + "\n"));
  events.push_back(ExitedEvent(0));
  for (int i = 1; i <= 2; ++i) world.Host("a" + std::to_string(i), Always(Ends(events)));
  const ProgramEnd end = world.Run({"run", "-b", "-w", "a[1-2]", "--", "x"});
  EXPECT_EQ(end.exit_code, 125);
  EXPECT_EQ(
      end.err,
      "brood: a[1-2]: more stdout than --gather keeps, 1 MiB of a host and 64 MiB of all: its "
      "end is not shown; --outdir DIR has all\n");
  EXPECT_THAT(end.out, HasSubstr("\na1 (its end is left out)\n"));
  EXPECT_THAT(end.out, HasSubstr("\na2 (its end is left out)\n"));
  EXPECT_LT(end.out.size(), (2u << 20) + 300);
  const ProgramEnd kept =
      world.Run({"run", "-b", "--outdir", world.Path("out"), "-w", "a[1-2]", "--", "x"});
  EXPECT_EQ(kept.exit_code, 0);
  EXPECT_EQ(Bytes(world.Path("out/a1.out")).size(), 20u << 16);
}

TEST(RunFanTest, NamesAllHostsThatAreDownInOneLineAndExits125WithTheOthersOutput) {
  CliWorld world;
  world.Host("n08", Always(Exits(0, "fine\n")));
  world.NameHost("n07");
  world.NameHost("n09");
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--label", "auto"}, {"--gather"}, {"--fanout", "2"}}) {
    std::vector<std::string> words = {"run", "-w", "n[07-09]"};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back("x");
    const ProgramEnd end = world.Run(words);
    EXPECT_EQ(end.exit_code, 125);
    EXPECT_THAT(end.out, more[0] == "--gather" ? Gathered("n08", "fine\n") : "n08: fine\n");
    ASSERT_EQ(Lines(end.err).size(), 1u) << end.err;
    EXPECT_THAT(end.err, StartsWith("brood: n[07,09]: unreachable: No such file or directory"));
    EXPECT_THAT(end.err, HasSubstr(" may never have got there"));
  }
}

TEST(RunFanTest, NamesAllUnknownHostsInOneLineAndRunsNothing) {
  CliWorld world;
  FakeAgent& agent = world.Host("n08", Always(Exits(0)));
  const ProgramEnd end = world.Run({"run", "-w", "n[07-09]", "x"});
  EXPECT_EQ(end.exit_code, 125);
  EXPECT_THAT(end.err, HasSubstr("n[07,09]"));
  EXPECT_EQ(Lines(end.err).size(), 1u) << end.err;
  EXPECT_TRUE(agent.submissions().empty());
}

TEST(RunFanTest, CancelsTheRestWhenOneJobHasFailedAndExitsAsItDid) {
  CliWorld world;
  FakeAgent& runs = world.Host("a1", Always(RunsUntilCancelled("up\n")));
  FakeJob waits;
  waits.events = Beginning();
  waits.until_input_end = true;
  waits.ending = Closing();
  waits.ending.insert(waits.ending.begin(), ExitedEvent(3));
  world.Host("a2", Always(waits));
  // Input ends once both run.
  const ProgramEnd end = world.Run({"run", "-w", "a[1-2]", "--fail-fast", "-i", "x"}, "go\n");
  EXPECT_EQ(end.exit_code, 3);
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(runs.cancelled().size(), 1u);
  EXPECT_THAT(end.err, HasSubstr("brood: a2: exited 3\nbrood: 1 failed: cancelling the rest\n"));
}

TEST(RunFanTest, StartsNoMoreHostsAfterTooManyFailures) {
  CliWorld world;
  std::vector<FakeAgent*> agents;
  for (int i = 1; i <= 5; ++i)
    agents.push_back(&world.Host("a" + std::to_string(i), Always(Exits(i))));
  const ProgramEnd end = world.Run({"run", "-w", "a[1-5]", "-f", "1", "--max-failed", "1", "x"});
  EXPECT_EQ(end.exit_code, 2);
  EXPECT_THAT(end.err, HasSubstr("brood: 2 failed: cancelling the rest\n"));
  EXPECT_THAT(end.err, HasSubstr("brood: a[3-5]: not started\n"));
  EXPECT_EQ(agents[1]->submissions().size(), 1u);
  EXPECT_EQ(agents[2]->submissions().size(), 0u);
  EXPECT_EQ(world.Run({"run", "-w", "a[1-5]", "--max-failed", "5", "x"}).exit_code, 5);
}

TEST(RunFanTest, TakesAHostThatIsDownForAFailure) {
  CliWorld world;
  world.NameHost("a1");
  FakeAgent& second = world.Host("a2", Always(Exits(0)));
  const ProgramEnd end = world.Run({"run", "-w", "a[1-2]", "-f", "1", "--fail-fast", "x"});
  EXPECT_EQ(end.exit_code, 125);
  EXPECT_TRUE(second.submissions().empty());
  EXPECT_THAT(end.err, HasSubstr("a1: unreachable: "));
}

TEST(RunFanTest, TakesNoMoreLinesAfterAFailure) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(Exits(4)));
  Program run(world.Setup({"run", "--each", "-", "--fail-fast", "true"}));
  run.Write("1\n");
  ASSERT_TRUE(run.AwaitErr("cancelling the rest"));
  run.Write("2\n");
  EXPECT_EQ(run.End().exit_code, 4);
  EXPECT_EQ(agent.submissions().size(), 1u);
}

TEST(RunFanTest, WritesAFileForEachHostAndStreamAndSaysWhere) {
  CliWorld world;
  world.Host("a1", Always(Exits(0, "one\n", "bad")));
  world.Host("a2", Always(Exits(0, "two")));
  const std::string folder = world.Path("out");
  const ProgramEnd end = world.Run({"run", "-w", "a[1-2]", "--outdir", folder, "x"});
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_EQ(Bytes(folder + "/a1.out"), "one\n");
  EXPECT_EQ(Bytes(folder + "/a1.err"), "bad");
  EXPECT_EQ(Bytes(folder + "/a2.out"), "two");
  EXPECT_THAT(end.err,
              HasSubstr("brood: the output is in " + folder + ": a[1-2], .out and .err of each\n"));
  EXPECT_THAT(end.out, HasSubstr("a1: one\n"));
  world.Run({"run", "-w", "a1", "-o", "json", "--outdir", folder, "x"});
  EXPECT_EQ(Bytes(folder + "/a1.out"), "one\n");
}

TEST(RunFanTest, HasInOneDocumentEveryJobAndWhetherItsHostWasReached) {
  CliWorld world;
  world.Host("a1", Always(Exits(0)));
  world.NameHost("a2");
  FakeJob refused;
  refused.refusal.set_error_code(3);
  refused.refusal.set_error_reason("BAD_SPEC");
  refused.refusal.set_error_message("spec.mode: no");
  world.Host("a3", Always(refused));
  const ProgramEnd end = world.Run({"run", "-w", "a[1-3]", "-o", "json", "x"});
  EXPECT_EQ(end.exit_code, 125);
  std::map<std::string, nlohmann::json> hosts;
  for (const auto& one : nlohmann::json::parse(end.out)) hosts[one["host"]] = one;
  ASSERT_EQ(hosts.size(), 3u);
  EXPECT_EQ(hosts["a1"]["reached"], true);
  EXPECT_EQ(hosts["a1"]["exitCode"], 0);
  EXPECT_EQ(hosts["a2"]["reached"], false);
  EXPECT_EQ(hosts["a2"]["error"]["reason"], "UNREACHABLE");
  EXPECT_EQ(hosts["a3"]["reached"], true);
  EXPECT_EQ(hosts["a3"]["error"]["message"], "spec.mode: no");
  const auto alone = nlohmann::json::parse(world.Run({"run", "-w", "a2", "-o", "json", "x"}).out);
  EXPECT_EQ(alone["host"], "a2");
  EXPECT_EQ(alone["reached"], false);
}

TEST(RunFanTest, ShowsAsJsonWhatIsKnownOfAJobWhoseHostIsLost) {
  CliWorld world;
  auto agent =
      std::make_unique<FakeAgent>(world.Path("a1.sock"), "a1", Always(RunsUntilCancelled()));
  world.NameHost("a1");
  Program run(world.Setup({"run", "-w", "a1", "-o", "json", "--give-up-after", "200ms", "sleep"}));
  ASSERT_TRUE(agent->AwaitSubmissions(1));
  const std::string id = agent->submissions().at(0).job_id();
  agent.reset();
  const ProgramEnd end = run.End();
  EXPECT_EQ(end.exit_code, 125);
  const auto job = nlohmann::json::parse(end.out);
  EXPECT_EQ(job["error"]["reason"], "UNREACHABLE") << end.out;
  EXPECT_FALSE(job.contains("outcome"));
}

TEST(RunFanTest, KeepsLinesWholeHoweverManyHostsPrintAtOnce) {
  CliWorld world;
  constexpr int kHosts = 20;
  constexpr int kLines = 300;
  for (int i = 1; i <= kHosts; ++i) {
    const std::string name = "a" + std::to_string(i);
    std::vector<v1::Event> events;
    for (int line = 0; line < kLines; ++line) {
      // Two events a line, of both streams in turns.
      const auto event = line % 2 == 0 ? OutEvent : ErrEvent;
      events.push_back(event(name + " begins "));
      events.push_back(event("and ends " + std::to_string(line) + "\n"));
    }
    events.push_back(ExitedEvent(0));
    world.Host(name, Always(Ends(events)));
  }
  const ProgramEnd end = world.Run({"run", "-w", "a[1-20]", "x"});
  EXPECT_EQ(end.exit_code, 0);
  for (const std::string* stream : {&end.out, &end.err}) {
    std::map<std::string, int> next;
    for (const std::string& line : Lines(*stream)) {
      const std::string host = line.substr(0, line.find(':'));
      int& number = next.try_emplace(host, stream == &end.out ? 0 : 1).first->second;
      ASSERT_EQ(line, host + ": " + host + " begins and ends " + std::to_string(number));
      number += 2;
    }
    EXPECT_EQ(next.size(), static_cast<size_t>(kHosts));
    for (const auto& [host, number] : next) EXPECT_GE(number, kLines) << host;
  }
}

TEST(RunFanTest, CountsOnATerminalWhatIsDoneFailedRunningAndWaiting) {
  CliWorld world;
  world.Host("a1", Always(Exits(0)));
  world.Host("a2", Always(Exits(1)));
  world.Host("a3", Always(RunsUntilCancelled()));
  world.Host("a4", Always(Exits(0)));
  ProgramSetup setup = world.Setup({"run", "-w", "a[1-4]", "-f", "1", "x"});
  setup.err_is_terminal = true;
  setup.environment["TERM"] = "xterm";
  for (const std::string no_color : {"1", ""}) {
    setup.environment["NO_COLOR"] = no_color;
    Program run(setup);
    const std::string failed = no_color.empty() ? "\x1b[31m1 failed\x1b[m" : "1 failed";
    EXPECT_TRUE(run.AwaitErr("1 done, " + failed + ", 1 running, 1 waiting; "));
    run.Signal(SIGTERM);
    EXPECT_EQ(run.End().signal, SIGTERM);
  }
}

TEST(RunFanTest, RefusesWhatMakesNoSenseTogetherAndNamesBoth) {
  CliWorld world;
  FakeAgent& agent = world.Host("a1", Always(Exits(0)));
  std::ofstream(world.Path("file")) << "x";
  struct Row {
    std::vector<std::string> words;
    std::string says;
  };
  for (const Row& row : {Row{{"--diff"}, "--diff is about several hosts: name them with -w"},
                         {{"-b"}, "--gather is about several hosts"},
                         {{"-f", "2"}, "--fanout is about several hosts"},
                         {{"-f", "0", "-w", "a1"}, "--fanout: '0' is no whole number from 1 on"},
                         {{"-f", "many", "-w", "a1"}, "'many' is no whole number"},
                         {{"--max-failed", "-1", "-w", "a1"}, "'-1' is no whole number from 0 on"},
                         {{"-b", "-o", "json", "-w", "a1"}, "-o json"},
                         {{"--diff", "-o", "jsonl", "-w", "a1"}, "-o json"},
                         {{"-b", "--each", "-", "-w", "a1"}, "--each"},
                         {{"--outdir", "d", "--each", "-", "-w", "a1"}, "--each"},
                         {{"--fanout", "3", "--each", "-", "-w", "a1"}, "--each"},
                         {{"-b", "-d", "-w", "a1"}, "--detach"},
                         {{"--fail-fast", "-d", "-w", "a1"}, "--detach"},
                         {{"--outdir", "d", "-d", "-w", "a1"}, "--detach"},
                         {{"--fanout", "3", "-d", "-w", "a1"}, "--detach"},
                         {{"-b", "--label", "always", "-w", "a1"}, "--label"},
                         {{"--fail-fast", "--max-failed", "3", "-w", "a1"}, "--fail-fast"},
                         {{"--outdir", "", "-w", "a1"}, "--outdir"},
                         {{"--outdir", world.Path("file"), "-w", "a1"}, "is a file"},
                         {{"--outdir", "/proc/none", "-w", "a1"}, "'/proc/none'"}}) {
    std::vector<std::string> words = {"run"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    words.push_back("x");
    const ProgramEnd end = world.Run(words);
    EXPECT_EQ(end.exit_code, 125) << row.says;
    EXPECT_THAT(end.err, HasSubstr(row.says));
    EXPECT_THAT(end.err, StartsWith("brood: "));
    EXPECT_EQ(end.out, "");
  }
  EXPECT_TRUE(agent.submissions().empty());
}

TEST(RunFanTest, RefusesInputForMoreHostsThanRunAtOnce) {
  CliWorld world;
  for (int i = 1; i <= 3; ++i) world.Host("a" + std::to_string(i), Always(Exits(0)));
  const ProgramEnd end = world.Run({"run", "-i", "-f", "2", "-w", "a[1-3]", "cat"});
  EXPECT_EQ(end.exit_code, 125);
  EXPECT_THAT(end.err, HasSubstr("--fanout 2 is less than the 3 hosts"));
}

}  // namespace
}  // namespace brood::testing
