// SPDX-License-Identifier: Apache-2.0
//
// Calls: the same task on a thread and in a fork, and what differs.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/outbox/value_bytes.h"
#include "agent/sdk/task.h"
#include "tests/agent/parent/calls_fixture.h"
#include "tests/testing/parent_driver.h"

namespace brood::testing {
namespace {

using internal::v1::StartJob;
using internal::v1::Value;

class ParentCallsTest : public CallsFixture, public ::testing::WithParamInterface<bool> {};

INSTANTIATE_TEST_SUITE_P(Modes, ParentCallsTest, ::testing::Values(kThread, kFork),
                         [](const auto& mode) { return mode.param ? "Thread" : "Fork"; });

TEST_P(ParentCallsTest, ReturnsEveryKindOfValue) {
  Value boolean;
  boolean.set_bool_value(true);
  Value number;
  number.set_float_value(-0.5);
  Value bytes;
  bytes.set_bytes_value(std::string("a\0b", 3));
  Value json;
  json.set_json_value("{\"a\":1}");
  Value nothing;
  nothing.set_null_value(true);
  CallEnd result = Run("echo", {boolean}, GetParam());
  bool truth = false;
  EXPECT_TRUE(result.returned && result.kind == BROOD_BOOL && ReadBool(result.bytes, &truth));
  EXPECT_TRUE(truth);
  result = Run("echo", {number}, GetParam());
  double fraction = 0;
  EXPECT_TRUE(result.kind == BROOD_FLOAT && ReadFloat(result.bytes, &fraction));
  EXPECT_EQ(fraction, -0.5);
  result = Run("echo", {Int(INT64_MIN)}, GetParam());
  int64_t whole = 0;
  EXPECT_TRUE(result.kind == BROOD_INT && ReadInt(result.bytes, &whole));
  EXPECT_EQ(whole, INT64_MIN);
  result = Run("echo", {bytes}, GetParam());
  EXPECT_EQ(result.kind, BROOD_BYTES);
  EXPECT_EQ(result.bytes, bytes.bytes_value());
  result = Run("echo", {json}, GetParam());
  EXPECT_EQ(result.kind, BROOD_JSON);
  EXPECT_EQ(result.bytes, "{\"a\":1}");
  result = Run("echo", {Text("")}, GetParam());
  EXPECT_EQ(result.kind, BROOD_TEXT);
  EXPECT_EQ(result.bytes, "");
  result = Run("echo", {nothing}, GetParam());
  EXPECT_TRUE(result.returned);
  EXPECT_EQ(result.kind, BROOD_NULL);
  // A whole number is taken where a number is wanted.
  result = Run("echo_float", {Int(3)}, GetParam());
  EXPECT_TRUE(result.kind == BROOD_FLOAT && ReadFloat(result.bytes, &fraction));
  EXPECT_EQ(fraction, 3.0);
}

TEST_P(ParentCallsTest, ReturnsTheLargestValueAndNoLargerOne) {
  const CallEnd largest = Run("big", {Int(48 * 1024)}, GetParam());
  EXPECT_TRUE(largest.returned);
  EXPECT_EQ(largest.bytes, std::string(48 * 1024, 'x'));
  const CallEnd larger = Run("big", {Int(48 * 1024 + 1)}, GetParam());
  EXPECT_TRUE(larger.threw);
  EXPECT_EQ(larger.bytes, "return_value answered " + std::to_string(BROOD_TOO_LARGE));
}

TEST_P(ParentCallsTest, TellsWhatWasThrown) {
  const CallEnd ruled = Run("throw", {Text("by the rules")}, GetParam());
  EXPECT_TRUE(ruled.threw);
  EXPECT_EQ(ruled.bytes, "by the rules");
  const CallEnd escaped = Run("escape", {Text("against them")}, GetParam());
  EXPECT_TRUE(escaped.threw);
  EXPECT_EQ(escaped.bytes, "against them");
  EXPECT_EQ(Run("throw", {Text(std::string(5000, 'y'))}, GetParam()).bytes.size(), 1024u);
}

TEST_P(ParentCallsTest, SaysWhoAndWhereItIs) {
  StartJob job = driver_.Call("test.where", {}, GetParam());
  job.set_job_id("my-id");
  EXPECT_EQ(ResultOf(driver_.Start(job)).bytes, GetParam() ? "my-id thread" : "my-id fork");
}

TEST_P(ParentCallsTest, RefusesAnUnknownTaskAndArgumentsThatDoNotFit) {
  struct Case {
    const char* task;
    std::vector<Value> arguments;
    const char* said;
  };
  for (const Case& wrong : std::vector<Case>{
           {"none", {}, "there is no task 'test.none'"},
           {"add", {Text("c")}, "takes 2, not 1"},
           {"nothing", {Int(1)}, "takes 0, not 1"},
           {"add", {Text("c"), Text("1")}, "'number' of 'test.add' is a whole number, not a text"},
           {"print", {Int(5)}, "'text' of 'test.print' is a text, not a whole number"},
           {"echo", {Text(std::string(48 * 1024 + 1, 'x'))}, "over 48 KiB"},
       }) {
    const SeenNote* const ended = driver_.AwaitEnd(Start(wrong.task, wrong.arguments, GetParam()));
    ASSERT_NE(ended, nullptr);
    EXPECT_EQ(ended->note.kind, NoteKind::kFailedToStart);
    EXPECT_EQ(ended->text.substr(0, 5), std::string("call\0", 5));
    EXPECT_NE(ended->text.find(wrong.said), std::string::npos) << ended->text.substr(5);
  }
}

TEST_P(ParentCallsTest, WritesOutputThatEndsWithTheJob) {
  const std::string much(40'000, 'm');
  const uint64_t job = Start("print", {Text(much), Int(1)}, GetParam());
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  ASSERT_TRUE(driver_.AwaitOutput(job));
  EXPECT_EQ(driver_.outputs()[job].bytes[0], much);
  EXPECT_EQ(driver_.outputs()[job].announced, 1);
  const uint64_t error = Start("print", {Text("to stderr"), Int(2)}, GetParam());
  ASSERT_NE(driver_.AwaitEnd(error), nullptr);
  ASSERT_TRUE(driver_.AwaitOutput(error));
  EXPECT_EQ(driver_.outputs()[error].bytes[1], "to stderr");
  // No other stream is the job's to write to.
  EXPECT_EQ(RunForInt("print", {Text("x"), Int(0)}, GetParam()), BROOD_FAILED);
}

TEST_P(ParentCallsTest, ReportsTheLastProgressAndNotAll) {
  const uint64_t job = Start("progress", {Int(1000)}, GetParam());
  const SeenNote* const ended = driver_.AwaitEnd(job);
  ASSERT_NE(ended, nullptr);
  if (GetParam() == kThread) {
    const size_t count = driver_.Count(job, NoteKind::kProgress);
    EXPECT_GE(count, 2u);
    EXPECT_LT(count, 100u);
    const SeenNote* last = nullptr;
    for (const SeenNote& seen : driver_.notes()) {
      if (seen.note.kind == NoteKind::kProgress) last = &seen;
    }
    ASSERT_NE(last, nullptr);
    EXPECT_EQ(last->text, "step 1000");
    EXPECT_EQ(last->note.fraction, 1.0);
    return;
  }
  CallArea area;
  ASSERT_TRUE(driver_.Slots().ReadArea(ended->note.slot, &area));
  EXPECT_EQ(std::string(area.progress_text, area.progress_text_size), "step 1000");
  EXPECT_EQ(area.progress_fraction, 1.0);
  EXPECT_EQ(area.progress_version, 2000u);
  ASSERT_TRUE(driver_.Wait([&] { return !driver_.rings().empty(); }));
  EXPECT_LT(driver_.rings().size(), 100u);
  EXPECT_EQ(driver_.rings()[0], ended->note.slot);
}

TEST_P(ParentCallsTest, DoesNotLetAChildOfTheTaskSpeakForTheJob) {
  EXPECT_EQ(RunForInt("fork_inside", {}, GetParam()), 0);
}

TEST_P(ParentCallsTest, KeepsEveryKindInACell) {
  for (const char* const json : {"[1]", "[1,2,3]"}) {
    Value value;
    value.set_json_value(json);
    EXPECT_TRUE(Run("write", {Text("cell"), value}, kThread).returned);
    const CallEnd read = Run("read", {Text("cell")}, GetParam());
    EXPECT_EQ(read.kind, BROOD_JSON);
    EXPECT_EQ(read.bytes, json);
  }
  EXPECT_EQ(Run("add", {Text("cell"), Int(1)}, GetParam()).bytes,
            "cell_add answered " + std::to_string(BROOD_WRONG_TYPE));
  EXPECT_EQ(Run("read", {Text("nobody-wrote-it")}, GetParam()).bytes,
            "cell_read answered " + std::to_string(BROOD_NO_SUCH_CELL));
  EXPECT_EQ(Run("add", {Text("bad/name"), Int(1)}, GetParam()).bytes,
            "cell_add answered " + std::to_string(BROOD_BAD_NAME));
  EXPECT_EQ(Run("add", {Text(std::string(65, 'n')), Int(1)}, GetParam()).bytes,
            "cell_add answered " + std::to_string(BROOD_BAD_NAME));
}

}  // namespace
}  // namespace brood::testing
