// SPDX-License-Identifier: Apache-2.0
//
// What `brood run` prints, and what it exits with: the real program, fake agents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/testing/cli_world.h"

namespace brood::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

v1::Value Int(int64_t number) {
  v1::Value value;
  value.set_int_value(number);
  return value;
}

std::vector<std::string> Words(const v1::JobSubmission& job) {
  return {job.spec().command().argv().begin(), job.spec().command().argv().end()};
}

TEST(RunOutputTest, LeavesTheBytesOfOneHostUntouched) {
  CliWorld world;
  const std::string bytes("a\0\x1b[31mb\r\n\xff no end", 17);
  world.Local(Always(Exits(0, bytes, "\x1b]0;x\n")));
  const ProgramEnd end = world.Run({"run", "--", "x"});
  EXPECT_EQ(end.out, bytes);
  EXPECT_EQ(end.err, "\x1b]0;x\n");
  EXPECT_EQ(end.exit_code, 0);
}

TEST(RunOutputTest, LabelsWholeLinesOfSeveralHostsAndKeepsTheStreamsApart) {
  CliWorld world;
  world.Host(
      "a1",
      Always(Ends({OutEvent("one\ntw"), ErrEvent("bad\n"), OutEvent("o\nlast"), ExitedEvent(0)})));
  world.Host("a2", Always(Exits(0, "other\n")));
  const ProgramEnd end = world.Run({"run", "-w", "a[1-2]", "--", "x"});
  EXPECT_THAT(Lines(end.out),
              UnorderedElementsAreArray({"a1: one", "a1: two", "a1: last", "a2: other"}));
  EXPECT_EQ(end.err, "a1: bad\n");
}

TEST(RunOutputTest, LabelsAsAsked) {
  CliWorld world;
  world.Host("a1", Always(Exits(0, "x\n")));
  world.Host("a2", Always(Exits(0, "x\n")));
  EXPECT_EQ(world.Run({"run", "-w", "a1", "--label", "always", "--", "x"}).out, "a1: x\n");
  EXPECT_EQ(world.Run({"run", "-w", "a1", "--", "x"}).out, "x\n");
  EXPECT_EQ(world.Run({"run", "-w", "a1,a2", "--label", "never", "--", "x"}).out, "x\nx\n");
}

TEST(RunOutputTest, MakesEscapesVisibleOnlyInLabelledOutputOnATerminal) {
  CliWorld world;
  world.Host("a1", Always(Exits(0,
                                "\x1b[31mred\r\xc2\x9b"
                                "31m \xc3\xa4\n")));
  ProgramSetup labelled = world.Setup({"run", "-w", "a1", "--label", "always", "--", "x"});
  EXPECT_EQ(RunProgram(labelled).out,
            "a1: \x1b[31mred\r\xc2\x9b"
            "31m \xc3\xa4\n");
  labelled.out_is_terminal = true;
  EXPECT_EQ(RunProgram(labelled).out, "a1: \\x1b[31mred\\r\\x9b31m \xc3\xa4\n");
  ProgramSetup plain = world.Setup({"run", "-w", "a1", "--", "x"});
  plain.out_is_terminal = true;
  EXPECT_EQ(RunProgram(plain).out,
            "\x1b[31mred\r\xc2\x9b"
            "31m \xc3\xa4\n");
}

struct ExitRow {
  v1::Event end;
  int code;
};

TEST(RunOutputTest, ExitsAsTheJobDid) {
  v1::Event timed_out = SignaledEvent(15, v1::END_CAUSE_TIMED_OUT);
  v1::Event not_found;
  not_found.mutable_failed_to_start()->set_step("exec");
  not_found.mutable_failed_to_start()->set_error_number(2);
  v1::Event not_executable = not_found;
  not_executable.mutable_failed_to_start()->set_error_number(13);
  v1::Event lost;
  lost.mutable_lost()->set_why("nobody knows");
  for (const ExitRow& row : {ExitRow{ExitedEvent(3), 3},
                             {SignaledEvent(9, v1::END_CAUSE_UNSPECIFIED), 137},
                             {timed_out, 124},
                             {not_found, 127},
                             {not_executable, 126},
                             {lost, 125}}) {
    CliWorld world;
    world.Local(Always(Ends({row.end})));
    EXPECT_EQ(world.Run({"run", "--", "x"}).exit_code, row.code) << row.end.ShortDebugString();
  }
}

TEST(RunOutputTest, ExitsWithTheHighestCodeOfAllHostsAndSaysWhichFailed) {
  CliWorld world;
  world.Host("a1", Always(Exits(3)));
  world.Host("a2", Always(Exits(0)));
  world.Host("a3", Always(Exits(7)));
  const ProgramEnd end = world.Run({"run", "-w", "a[1-3]", "--", "x"});
  EXPECT_EQ(end.exit_code, 7);
  EXPECT_THAT(Lines(end.err),
              UnorderedElementsAreArray({"brood: a1: exited 3", "brood: a3: exited 7"}));
}

TEST(RunOutputTest, RunsOnTheOthersWhenOneHostIsDownAndExits125) {
  CliWorld world;
  world.Host("a1", Always(Exits(200, "fine\n")));
  world.NameHost("a2");
  const ProgramEnd end = world.Run({"run", "-w", "a1,a2", "--", "x"});
  EXPECT_EQ(end.out, "a1: fine\n");
  EXPECT_EQ(end.exit_code, 125);
  EXPECT_THAT(end.err, HasSubstr("brood: a2: unreachable: the agent at 'unix:"));
}

TEST(RunOutputTest, IsNotHeldUpByAHostThatHangs) {
  CliWorld world;
  world.Host("a1", Always(Exits(0, "fine\n")));
  world.Host("a2", Always(Exits(0))).Hang();
  Program run(world.Setup({"run", "-w", "a1,a2", "--", "x"}));
  EXPECT_TRUE(run.AwaitOut("a1: fine\n"));
  run.Signal(SIGTERM);
  const ProgramEnd end = run.End();
  EXPECT_EQ(end.signal, SIGTERM);
  EXPECT_THAT(end.err, HasSubstr("the host has not answered"));
}

TEST(RunOutputTest, SaysWhyAJobIsRefusedAndExits125) {
  CliWorld world;
  FakeJob refused;
  refused.refusal.set_error_code(3);
  refused.refusal.set_error_message("spec.mode: no");
  world.Local(Always(refused));
  const ProgramEnd end = world.Run({"run", "--", "x"});
  EXPECT_EQ(end.exit_code, 125);
  EXPECT_EQ(end.err, "brood: spec.mode: no\n");
  EXPECT_EQ(end.out, "");
}

TEST(RunOutputTest, ExitsWith125ForWordsItCannotRead) {
  CliWorld world;
  for (const std::vector<std::string>& words : {std::vector<std::string>{"run"},
                                                {"run", "--nonsense", "x"},
                                                {"run", "--mode", "sideways", "x"},
                                                {"run", "-o", "yaml", "x"},
                                                {"run", "--timeout", "soon", "x"},
                                                {"run", "-e", "=x", "x"},
                                                {"run", "-w", "no[", "x"},
                                                {"run", "-i", "-d", "x"},
                                                {"run", "-w", "", "x"},
                                                {"run", "--call", "", "x"},
                                                {"run", "--each", "", "x"},
                                                {"run", "--timeout", "", "x"},
                                                {"run", "--limit", "nofile=many", "x"}}) {
    const ProgramEnd end = world.Run(words);
    EXPECT_EQ(end.exit_code, 125) << words.back();
    EXPECT_EQ(end.err.rfind("brood: ", 0), 0u) << end.err;
    EXPECT_EQ(end.out, "");
  }
}

TEST(RunOutputTest, GivesALocalCommandThisEnvironmentDirectoryAndUmask) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(Exits(0)));
  ProgramSetup setup = world.Setup({"run", "-e", "MORE=1", "sh", "-c", "--", "[a,b]", ""});
  setup.environment["HELLO"] = "wor ld";
  setup.directory = "/";
  EXPECT_EQ(RunProgram(setup).exit_code, 0);
  ASSERT_EQ(agent.submissions().size(), 1u);
  const v1::JobSpec spec = agent.submissions()[0].spec();
  EXPECT_THAT(Words(agent.submissions()[0]), ElementsAre("sh", "-c", "--", "[a,b]", ""));
  EXPECT_TRUE(spec.environment().clear());
  std::map<std::string, std::string> variables;
  for (const auto& one : spec.environment().set()) variables[one.name()] = one.value();
  EXPECT_EQ(variables["HELLO"], "wor ld");
  EXPECT_EQ(variables["MORE"], "1");
  EXPECT_EQ(variables.count("PATH"), 1u);
  EXPECT_EQ(spec.working_directory(), "/");
  EXPECT_TRUE(spec.has_umask());
}

TEST(RunOutputTest, GivesARemoteCommandOnlyWhatIsSaid) {
  CliWorld world;
  FakeAgent& agent = world.Host("a1", Always(Exits(0)));
  world.Run({"run", "-w", "a1", "-e", "A=b=c", "--cwd", "/tmp", "--timeout", "1.5s", "--limit",
             "nofile=64", "--labels", "k=v", "--name", "n", "x"});
  ASSERT_EQ(agent.submissions().size(), 1u);
  const v1::JobSpec spec = agent.submissions()[0].spec();
  EXPECT_FALSE(spec.environment().clear());
  ASSERT_EQ(spec.environment().set_size(), 1);
  EXPECT_EQ(spec.environment().set(0).value(), "b=c");
  EXPECT_EQ(spec.working_directory(), "/tmp");
  EXPECT_EQ(spec.timeout().nanos(), 500'000'000);
  EXPECT_EQ(spec.limits(0).value(), 64u);
  EXPECT_EQ(spec.labels().at("k"), "v");
  EXPECT_EQ(spec.labels().at("name"), "n");
  EXPECT_FALSE(spec.has_umask());
}

TEST(RunOutputTest, PrintsWhatACallReturnsAsBareJson) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(Ends({OutEvent("said\n"), ReturnedEvent(Int(1LL << 60))})));
  const ProgramEnd end = world.Run({"run", "--call", "demo.add", "x", "-5", "[1,2]"});
  EXPECT_EQ(end.out, "said\n1152921504606846976\n");
  const v1::Call call = agent.submissions().at(0).spec().call();
  ASSERT_EQ(call.arguments_size(), 3);
  EXPECT_EQ(call.arguments(1).word(), "-5");
  EXPECT_EQ(call.arguments(2).word(), "[1,2]");
  EXPECT_EQ(agent.submissions().at(0).spec().has_environment(), false);
}

TEST(RunOutputTest, LabelsTheValuesOfSeveralHosts) {
  CliWorld world;
  world.Host("a1", Always(Ends({ReturnedEvent(Int(1))})));
  world.Host("a2", Always(Ends({ReturnedEvent(Int(2))})));
  EXPECT_THAT(Lines(world.Run({"run", "-w", "a1,a2", "--call", "demo.x"}).out),
              UnorderedElementsAreArray({"a1: 1", "a2: 2"}));
}

TEST(RunOutputTest, StreamsEventsAsJsonLines) {
  CliWorld world;
  world.Local(Always(Exits(0, "hi")));
  const ProgramEnd end = world.Run({"run", "-o", "jsonl", "x"});
  std::vector<nlohmann::json> events;
  for (const std::string& line : Lines(end.out)) events.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(events.size(), 7u);
  EXPECT_TRUE(events[0].contains("received"));
  EXPECT_EQ(events[3]["output"]["bytes"], "aGk=");
  EXPECT_EQ(events[4]["exited"]["exitCode"], 0);
  EXPECT_FALSE(events[4]["exited"].contains("signal"));
  EXPECT_TRUE(events[6].contains("cleaned"));
}

TEST(RunOutputTest, PrintsJobsAsJson) {
  CliWorld world;
  world.Host("a1", Always(Exits(0)));
  world.Host("a2", Always(Ends({SignaledEvent(9, v1::END_CAUSE_UNSPECIFIED)})));
  const auto one = nlohmann::json::parse(world.Run({"run", "-w", "a1", "-o", "json", "x"}).out);
  EXPECT_EQ(one["exitCode"], 0);
  EXPECT_EQ(one["outcome"], "EXITED");
  const auto two = nlohmann::json::parse(world.Run({"run", "-w", "a1,a2", "-o", "json", "x"}).out);
  ASSERT_EQ(two.size(), 2u);
  const auto& killed = two[0]["host"] == "a2" ? two[0] : two[1];
  EXPECT_EQ(killed["signal"], 9);
  EXPECT_FALSE(killed.contains("exitCode"));
}

TEST(RunOutputTest, ExitsWith125WhenOutputWasLost) {
  v1::Event closed;
  closed.mutable_output_closed()->set_dropped_bytes(7);
  v1::Event cleaned;
  cleaned.mutable_cleaned();
  FakeJob job;
  job.events = Beginning();
  for (const v1::Event& event : {OutEvent("part"), ExitedEvent(0), closed, cleaned}) {
    job.events.push_back(event);
  }
  CliWorld world;
  world.Local(Always(job));
  const ProgramEnd end = world.Run({"run", "x"});
  EXPECT_EQ(end.out, "part");
  EXPECT_EQ(end.exit_code, 125);
  const char* const said = "the last 7 bytes of output were not kept: they went past the limit";
  EXPECT_THAT(end.err, HasSubstr(said));
  const ProgramEnd logs = world.Run({"logs", "last"});
  EXPECT_EQ(logs.out, "part");
  EXPECT_THAT(logs.err, HasSubstr(said));
}

TEST(RunOutputTest, SendsStandardInputToEveryHostOnlyIfAsked) {
  FakeJob reads;
  reads.events = Beginning();
  reads.until_input_end = true;
  reads.ending = {ExitedEvent(0)};
  for (const v1::Event& event : Closing()) reads.ending.push_back(event);
  CliWorld world;
  world.Host("a1", Always(reads));
  world.Host("a2", Always(reads));
  EXPECT_THAT(Lines(world.Run({"run", "-w", "a1,a2", "-i", "cat"}, "hello\n").out),
              UnorderedElementsAreArray({"a1: hello", "a2: hello"}));
  const std::string big(300'000, 'x');
  EXPECT_EQ(world.Run({"run", "-w", "a1", "-i", "cat"}, big).out, big);
}

// `brood` with `words`, one of its standard descriptors closed by the shell.
ProgramSetup WithClosed(ProgramSetup setup, const std::string& redirection) {
  const std::vector<std::string> words = setup.argv;
  setup.argv = {"/bin/sh", "-c", "exec \"$@\" " + redirection, "sh"};
  setup.argv.insert(setup.argv.end(), words.begin(), words.end());
  return setup;
}

TEST(RunOutputTest, TakesAClosedStandardInputForAnEmptyOne) {
  CliWorld world;
  FakeJob job;
  job.events = Beginning();
  job.until_input_end = true;
  job.ending = Closing();
  job.ending.insert(job.ending.begin(), ExitedEvent(0));
  world.Local(Always(job));
  const ProgramEnd end = RunProgram(WithClosed(world.Setup({"run", "-i", "cat"}), "<&-"));
  EXPECT_EQ(end.exit_code, 0) << end.err;
}

TEST(RunOutputTest, ExitsWith125WhenStandardOutputIsClosedOrFullEverySingleTime) {
  CliWorld world;
  world.Local(Always(Exits(0, "x\n")));
  // The failure is heard of while the job's end comes in.
  for (int i = 0; i < 20; ++i) {
    for (const std::string redirection : {">&-", ">/dev/full"}) {
      const ProgramEnd end = RunProgram(WithClosed(world.Setup({"run", "echo"}), redirection));
      EXPECT_EQ(end.exit_code, 125) << redirection;
      EXPECT_THAT(end.err, HasSubstr("cannot write to standard output"));
    }
  }
}

TEST(RunOutputTest, RunsOneJobPerLineAndReplacesBraces) {
  CliWorld world;
  FakeAgent& agent = world.Local(
      [](const v1::JobSubmission& job) { return Exits(0, job.spec().command().argv(1) + "\n"); });
  const ProgramEnd end = world.Run({"run", "--each", "-", "--", "echo", "<{}{}>"}, "a\nb c\nlast");
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_THAT(Lines(end.out), UnorderedElementsAreArray({"<aa>", "<b cb c>", "<lastlast>"}));
  const auto jobs = agent.submissions();
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[2].job_id(), jobs[2].spec().run_id() + ".3");
  world.Run({"run", "--each", "-", "--", "echo"}, "word\n");
  EXPECT_THAT(Words(agent.submissions().back()), ElementsAre("echo", "word"));
}

TEST(RunOutputTest, NeverHasMoreJobsOfALongListUnderWayThanSlotsAndAFew) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(Exits(0)));
  std::string lines;
  for (int i = 0; i < 2000; ++i) lines += std::to_string(i) + "\n";
  std::ofstream(world.Path("list")) << lines;
  EXPECT_EQ(world.Run({"run", "--each", world.Path("list"), "true"}).exit_code, 0);
  EXPECT_EQ(agent.submissions().size(), 2000u);
  EXPECT_LE(agent.most_at_once(), 4u + 64u);
}

TEST(RunOutputTest, TriesALineAgainThatAFullQueueRefused) {
  CliWorld world;
  int asked = 0;
  FakeAgent& agent = world.Local([&asked](const v1::JobSubmission&) {
    FakeJob job = Exits(0);
    if (++asked <= 3) job.refusal.set_error_code(8);
    return job;
  });
  EXPECT_EQ(world.Run({"run", "--each", "-", "true"}, "1\n2\n3\n4\n5\n").exit_code, 0);
  EXPECT_EQ(agent.submissions().size(), 8u);
}

TEST(RunOutputTest, SpreadsLinesOverHosts) {
  CliWorld world;
  FakeAgent& one = world.Host("a1", Always(Exits(0)));
  FakeAgent& two = world.Host("a2", Always(Exits(0)));
  EXPECT_EQ(world.Run({"run", "-w", "a1,a2", "--each", "-", "true"}, "1\n2\n3\n4\n").exit_code, 0);
  EXPECT_EQ(one.submissions().size() + two.submissions().size(), 4u);
  EXPECT_GE(one.submissions().size(), 1u);
  EXPECT_GE(two.submissions().size(), 1u);
}

TEST(RunOutputTest, DetachPrintsOneIdPerHostAndLine) {
  CliWorld world;
  FakeAgent& one = world.Host("a1", Always(RunsUntilCancelled()));
  world.Host("a2", Always(RunsUntilCancelled()));
  const ProgramEnd end = world.Run({"run", "-d", "-w", "a[1-2]", "sleep"});
  const std::string id = one.submissions().at(0).job_id();
  EXPECT_EQ(end.out, "a1/" + id + "\na2/" + id + "\n");
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_EQ(Lines(world.Run({"run", "-d", "-w", "a1", "--each", "-", "x"}, "1\n2\n").out).size(),
            2u);
}

TEST(RunOutputTest, DetachSaysWhatItCannotReadAndSubmitsNothing) {
  CliWorld world;
  FakeAgent& agent = world.Host("a1", Always(Exits(0)));
  const ProgramEnd folder = world.Run({"run", "-d", "-w", "a1", "--each", "/", "true"});
  EXPECT_EQ(folder.exit_code, 125);
  EXPECT_THAT(folder.err, HasSubstr("'/'"));
  const std::string line(200'000, 'x');
  const ProgramEnd longest = world.Run({"run", "-d", "-w", "a1", "--each", "-", "true"}, line);
  EXPECT_EQ(longest.exit_code, 125);
  EXPECT_THAT(longest.err, HasSubstr("line 1"));
  EXPECT_TRUE(agent.submissions().empty());
}

TEST(RunOutputTest, DetachSplitsWhatOneMessageCannotHold) {
  CliWorld world;
  FakeAgent& agent = world.Host("a1", Always(Exits(0)));
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += std::string(100'000, 'x') + "\n";
  EXPECT_EQ(world.Run({"run", "-d", "-w", "a1", "--each", "-", "true"}, lines).exit_code, 0);
  EXPECT_EQ(agent.submissions().size(), 20u);
}

TEST(RunOutputTest, ARunThatNoHostTookIsNotTheLastOne) {
  CliWorld world;
  FakeAgent& agent = world.Host("a1", Always(Exits(0)));
  EXPECT_EQ(world.Run({"run", "-d", "-w", "a1", "true"}).exit_code, 0);
  EXPECT_EQ(world.Run({"run", "-d", "-w", "a1", "--each", "/", "true"}).exit_code, 125);
  EXPECT_EQ(world.Run({"wait", "last"}).exit_code, 0);
  EXPECT_EQ(agent.submissions().size(), 1u);
}

TEST(RunOutputTest, ExplainsTheModeAndRunsNothing) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(Exits(0)));
  v1::ListTasksResponse tasks;
  v1::Task& task = *tasks.add_tasks();
  task.set_name("demo.share");
  task.set_shares_memory(true);
  agent.SetTasks(tasks);
  EXPECT_THAT(world.Run({"run", "--explain", "ls"}).out, HasSubstr("local  fork  "));
  EXPECT_THAT(world.Run({"run", "--explain", "--call", "demo.share"}).out,
              HasSubstr("local  thread  "));
  const ProgramEnd unknown = world.Run({"run", "--explain", "--call", "demo.nope"});
  EXPECT_EQ(unknown.exit_code, 125);
  EXPECT_THAT(unknown.err, HasSubstr("demo.nope"));
  EXPECT_EQ(world.Run({"run", "--explain", "--mode", "thread", "ls"}).exit_code, 125);
  EXPECT_EQ(agent.submissions().size(), 0u);
}

}  // namespace
}  // namespace brood::testing
