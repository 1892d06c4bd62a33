// SPDX-License-Identifier: Apache-2.0
//
// How `brood run` asks for output to be kept, and what it and `logs` say of what was not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/cli_world.h"

namespace brood::testing {
namespace {

using ::testing::HasSubstr;

TEST(RunKeptTest, AsksForTheOutputThatWasMeant) {
  CliWorld world;
  FakeAgent& agent = world.Local(Always(Exits(0)));
  world.Run({"run", "--output=file", "--output-max", "1.5M", "--output-overflow", "ring", "x"});
  const v1::OutputSettings output = agent.submissions().at(0).spec().output();
  EXPECT_EQ(output.target(), v1::OUTPUT_TARGET_FILE);
  EXPECT_EQ(output.overflow(), v1::OUTPUT_OVERFLOW_RING);
  EXPECT_EQ(output.stream_bytes_max(), 1'572'864u);
  world.Run({"run", "x"});
  EXPECT_FALSE(agent.submissions().at(1).spec().has_output());
}

TEST(RunKeptTest, TellsWhoMeansTheFormatWhereItIs) {
  CliWorld world;
  world.Local(Always(Exits(0)));
  const ProgramEnd run = world.Run({"run", "--output", "json", "x"});
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_THAT(run.err, HasSubstr("'json' is not one of pipe|file; it is a format: write -o json"));
  const ProgramEnd ps = world.Run({"ps", "--output", "json"});
  EXPECT_EQ(ps.exit_code, 2);
  EXPECT_THAT(ps.err, HasSubstr("for the format write -o json or --format json"));
  EXPECT_EQ(world.Run({"run", "--format", "jsonl", "x"}).exit_code, 0);
  for (const char* const size : {"", "1K", "2T", "many"}) {
    const ProgramEnd end = world.Run({"run", "--output-max", size, "x"});
    EXPECT_EQ(end.exit_code, 125);
    EXPECT_THAT(end.err, HasSubstr("--output-max"));
  }
}

// Of 300 bytes, a ring has those from 150 on.
std::vector<v1::Event> RingEvents() {
  std::vector<v1::Event> events = Beginning();
  for (const uint64_t offset : {0, 100, 200}) {
    v1::Event event = OutEvent(offset == 0 ? "" : std::string(offset == 100 ? 50 : 100, 'x'));
    event.mutable_output()->set_offset(offset);
    event.mutable_output()->set_length(100);
    event.mutable_output()->set_bytes_offset(offset == 0 ? 0 : offset == 100 ? 150 : 200);
    events.push_back(event);
  }
  v1::Event closed;
  closed.mutable_output_closed()->set_stdout_bytes(300);
  closed.mutable_output_closed()->set_stdout_begin(150);
  closed.mutable_output_closed()->set_dropped_bytes(150);
  v1::Event cleaned;
  cleaned.mutable_cleaned();
  for (const v1::Event& event : {ExitedEvent(0), closed, cleaned}) events.push_back(event);
  return events;
}

TEST(RunKeptTest, SaysOnceWhatARingHasLost) {
  FakeJob job;
  job.events = RingEvents();
  CliWorld world;
  world.Local(Always(job));
  const ProgramEnd asked = world.Run({"run", "--output-overflow", "ring", "x"});
  EXPECT_EQ(asked.out, std::string(150, 'x'));
  EXPECT_EQ(asked.err, "brood: 150 bytes of its stdout are no longer kept, from byte 0 on\n");
  EXPECT_EQ(asked.exit_code, 0) << "it was asked for";
  EXPECT_EQ(world.Run({"run", "x"}).exit_code, 125) << "it was not";
}

TEST(RunKeptTest, LogsSayOnceWhatARingHasLost) {
  FakeJob job;
  job.events = RingEvents();
  CliWorld world;
  world.Local(Always(job));
  EXPECT_EQ(world.Run({"run", "-d", "x"}).exit_code, 0);
  const ProgramEnd end = world.Run({"logs", "last"});
  EXPECT_EQ(end.out, std::string(150, 'x'));
  EXPECT_THAT(end.err, HasSubstr("150 bytes of its stdout are no longer kept, from byte 0 on\n"));
  EXPECT_EQ(end.exit_code, 0);
}

TEST(RunKeptTest, SaysThatAJobIsEndedForItsOutput) {
  v1::Event limit;
  limit.mutable_output_limit()->set_stream(v1::STREAM_STDERR);
  limit.mutable_output_limit()->set_limit(65'536);
  CliWorld world;
  world.Local(Always(Ends({limit, SignaledEvent(15, v1::END_CAUSE_OUTPUT_LIMIT)})));
  const ProgramEnd end = world.Run({"run", "--output-overflow", "end", "x"});
  EXPECT_THAT(end.err, HasSubstr("its stderr went past 65536 bytes, and so it is ended\n"));
  EXPECT_EQ(end.exit_code, 143);
}

}  // namespace
}  // namespace brood::testing
