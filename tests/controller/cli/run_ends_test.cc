// SPDX-License-Identifier: Apache-2.0
//
// How a foreground `brood run` is broken off: the real program, fake agents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/testing/cli_world.h"

namespace brood::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A job that takes no notice of a cancel.
FakeJob Stubborn() {
  FakeJob job;
  job.events = Beginning();
  job.events.push_back(OutEvent("up\n"));
  job.until_input_end = true;
  return job;
}

ProgramSetup OnTerminal(ProgramSetup setup) {
  setup.err_is_terminal = true;
  return setup;
}

TEST(RunEndsTest, CancelsAtTheFirstInterruptWithoutATerminalAndDiesOfIt) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(RunsUntilCancelled("up\n")));
  Program run(world.Setup({"run", "sleep"}));
  ASSERT_TRUE(run.AwaitOut("up\n"));
  run.Signal(SIGINT);
  const ProgramEnd end = run.End();
  EXPECT_EQ(end.signal, SIGINT);
  EXPECT_THAT(agent.cancelled(), ElementsAre(agent.submissions().at(0).job_id()));
}

TEST(RunEndsTest, ShowsTheStateAtTheFirstInterruptOnATerminalAndCancelsAtTheSecond) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(RunsUntilCancelled("up\n")));
  Program run(OnTerminal(world.Setup({"run", "sleep"})));
  ASSERT_TRUE(run.AwaitOut("up\n"));
  run.Signal(SIGINT);
  ASSERT_TRUE(run.AwaitErr("Ctrl-C again"));
  EXPECT_EQ(agent.cancelled().size(), 0u);
  run.Signal(SIGINT);
  const ProgramEnd end = run.End();
  EXPECT_THAT(end.err, HasSubstr("runs, pid 4711"));
  EXPECT_EQ(end.signal, SIGINT);
  EXPECT_EQ(agent.cancelled().size(), 1u);
}

TEST(RunEndsTest, LeavesTheJobsAndPrintsTheirIdsAtTheThirdInterrupt) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(Stubborn()));
  Program run(OnTerminal(world.Setup({"run", "sleep"})));
  ASSERT_TRUE(run.AwaitOut("up\n"));
  run.Signal(SIGINT);
  ASSERT_TRUE(run.AwaitErr("Ctrl-C again"));
  run.Signal(SIGINT);
  ASSERT_TRUE(run.AwaitErr("cancelling"));
  run.Signal(SIGINT);
  const ProgramEnd end = run.End();
  EXPECT_EQ(end.signal, SIGINT);
  EXPECT_THAT(end.err, HasSubstr("local/" + agent.submissions().at(0).job_id()));
}

TEST(RunEndsTest, CancelsAndDiesOfSigtermAndSighup) {
  for (const int signal : {SIGTERM, SIGHUP}) {
    CliWorld world;
    FakeAgent& agent = world.Local(Always(RunsUntilCancelled("up\n")));
    Program run(OnTerminal(world.Setup({"run", "sleep"})));
    ASSERT_TRUE(run.AwaitOut("up\n"));
    run.Signal(signal);
    EXPECT_EQ(run.End().signal, signal);
    EXPECT_EQ(agent.cancelled().size(), 1u);
  }
}

TEST(RunEndsTest, CancelsQuietlyWhenNobodyReadsItsOutput) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(RunsUntilCancelled("up\n")));
  Program run(world.Setup({"run", "sleep"}));
  ASSERT_TRUE(run.AwaitOut("up\n"));
  run.CloseOutput();
  const ProgramEnd end = run.End();
  EXPECT_EQ(end.signal, SIGPIPE);
  EXPECT_EQ(end.err, "");
  EXPECT_EQ(agent.cancelled().size(), 1u);
}

TEST(RunEndsTest, StopsSubmittingLinesWhenItIsCancelled) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(RunsUntilCancelled()));
  Program run(world.Setup({"run", "--each", "-", "sleep"}));
  run.Write("1\n2\n");
  ASSERT_TRUE(agent.AwaitSubmissions(2));
  run.Signal(SIGTERM);
  EXPECT_EQ(run.End().signal, SIGTERM);
  EXPECT_EQ(agent.submissions().size(), 2u);
  EXPECT_EQ(agent.cancelled().size(), 2u);
}

TEST(RunEndsTest, ShowsAProgressLineOnlyOnATerminal) {
  CliWorld world;
  world.Host("a1", Always(RunsUntilCancelled("up\n")));
  world.Host("a2", Always(RunsUntilCancelled("up\n")));
  Program seen(OnTerminal(world.Setup({"run", "-w", "a1,a2", "sleep"})));
  EXPECT_TRUE(seen.AwaitErr("0 done, 0 failed, 2 running, 0 waiting"));
  seen.Signal(SIGTERM);
  seen.End();
  Program unseen(world.Setup({"run", "-w", "a1,a2", "sleep"}));
  ASSERT_TRUE(unseen.AwaitOut("a2: up\n"));
  unseen.Signal(SIGTERM);
  EXPECT_THAT(unseen.End().err, Not(HasSubstr("running")));
}

TEST(RunEndsTest, SaysThatAJobMayGoOnWhenItsAgentGoesAway) {
  CliWorld world;
  auto agent =
      std::make_unique<FakeAgent>(world.Path("a1.sock"), "a1", Always(RunsUntilCancelled("up\n")));
  world.NameHost("a1");
  Program run(world.Setup({"run", "-w", "a1", "--give-up-after", "1500ms", "sleep"}));
  ASSERT_TRUE(run.AwaitOut("up\n"));
  const std::string id = agent->submissions().at(0).job_id();
  agent.reset();
  const ProgramEnd end = run.End();
  EXPECT_EQ(end.exit_code, 125);
  EXPECT_THAT(end.err, HasSubstr("the connection is lost"));
  EXPECT_THAT(end.err, HasSubstr("a1/" + id + " may go on"));
}

}  // namespace
}  // namespace brood::testing
