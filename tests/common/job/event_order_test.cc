// SPDX-License-Identifier: Apache-2.0
#include "common/job/event_order.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/job/event_rules.h"
#include "tests/common/job/event_stream.h"

namespace brood {
namespace {

using testing::EventStream;

// The sentence of the first broken rule; "" if there is none.
std::string Broken(const std::vector<v1::Event>& events) {
  EventOrder order;
  for (const v1::Event& event : events) {
    if (const Status bad = order.Check(event)) return bad->message;
  }
  return "";
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(EventOrderTest, TakesAWholeLife) {
  EventStream stream;
  const std::vector<v1::Event> events = {stream.Received("a"),
                                         stream.Starting("a"),
                                         stream.Started("a"),
                                         stream.Output("a", v1::STREAM_STDOUT, 0, 3),
                                         stream.Output("a", v1::STREAM_STDERR, 0, 5),
                                         stream.Output("a", v1::STREAM_STDOUT, 3, 4),
                                         stream.Exited("a", 0),
                                         stream.Output("a", v1::STREAM_STDOUT, 7, 1),
                                         stream.Closed("a", 8, 5),
                                         stream.Cleaned("a")};
  EventOrder order;
  order.ExpectEveryCursor();
  for (const v1::Event& event : events) {
    const Status bad = order.Check(event);
    ASSERT_FALSE(bad) << bad->message;
  }
  EXPECT_FALSE(order.Finish());
}

TEST(EventOrderTest, AJobThatWaitedWhenItsAgentDiedIsLost) {
  EventStream stream;
  const v1::Event received = stream.Received("a");
  v1::Event lost = stream.Next("a");
  lost.mutable_lost()->set_why("the agent ended while the job was waiting");
  EXPECT_EQ(Broken({received, lost}), "");
}

TEST(EventOrderTest, AStreamMustNotStopBeforeCleaned) {
  EventStream stream;
  EventOrder order;
  EXPECT_FALSE(order.Check(stream.Received("a")));
  const Status bad = order.Finish();
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->message, "job 'a': its stream is over after seq 1 without CLEANED");
}

TEST(EventOrderTest, RefusesAGapAndARepetitionInSeq) {
  EventStream stream;
  const v1::Event received = stream.Received("a");
  (void)stream.Next("a");
  EXPECT_TRUE(Has(Broken({received, stream.Starting("a")}), "its seq must be 2"));
  v1::Event again = stream.Received("b");
  again.set_seq(2);
  EXPECT_TRUE(Has(Broken({again}), "its seq must be 1"));
}

TEST(EventOrderTest, RefusesACursorThatDoesNotGrow) {
  EventStream stream;
  const v1::Event one = stream.Received("a");
  v1::Event two = stream.Received("b");
  two.set_cursor(one.cursor());
  EXPECT_TRUE(Has(Broken({one, two}), "its cursor must be greater than 1"));
  two.set_cursor(one.cursor() + 2);
  EventOrder order;
  order.ExpectEveryCursor();
  EXPECT_FALSE(order.Check(one));
  EXPECT_TRUE(Has(order.Check(two)->message, "its cursor must be 2"));
}

TEST(EventOrderTest, ReceivedComesFirst) {
  EventStream stream;
  EXPECT_TRUE(Has(Broken({stream.Starting("a")}), "came when it was new"));
}

TEST(EventOrderTest, StartedMustFollowStarting) {
  EventStream stream;
  EXPECT_TRUE(
      Has(Broken({stream.Received("a"), stream.Started("a")}),
          "STARTED of job 'a' (seq 2, cursor 2): came when it was waiting; it may come only "
          "when it is starting"));
}

TEST(EventOrderTest, AnEndComesOnce) {
  EventStream stream;
  EXPECT_TRUE(Has(Broken({stream.Received("a"), stream.Starting("a"), stream.Started("a"),
                          stream.Exited("a", 0), stream.Exited("a", 0)}),
                  "came when it was ended"));
}

TEST(EventOrderTest, NothingFollowsCleanedAndNoOutputItsClosing) {
  EventStream stream;
  std::vector<v1::Event> events = {stream.Received("a"), stream.Starting("a"), stream.Started("a"),
                                   stream.Exited("a", 0), stream.Closed("a", 0, 0)};
  std::vector<v1::Event> late = events;
  late.push_back(stream.Output("a", v1::STREAM_STDOUT, 0, 1));
  EXPECT_TRUE(Has(Broken(late), "came when it was closed"));
  EventStream other;
  events = {other.Received("a"),  other.Starting("a"),     other.Started("a"),
            other.Exited("a", 0), other.Closed("a", 0, 0), other.Cleaned("a")};
  v1::Event signalled = other.Next("a");
  signalled.mutable_signalled()->set_signal(9);
  events.push_back(signalled);
  EXPECT_TRUE(Has(Broken(events), "came when it was cleaned"));
}

TEST(EventOrderTest, OutputOffsetsAreContiguousPerStream) {
  EventStream stream;
  EXPECT_TRUE(Has(Broken({stream.Received("a"), stream.Starting("a"), stream.Started("a"),
                          stream.Output("a", v1::STREAM_STDOUT, 0, 3),
                          stream.Output("a", v1::STREAM_STDOUT, 4, 3)}),
                  "its offset is 4 and must be 3"));
}

TEST(EventOrderTest, OnlyARingTellsOfMoreThan64KiBAtOnce) {
  EventStream stream;
  std::vector<v1::Event> events = {stream.Received("a"), stream.Starting("a"), stream.Started("a"),
                                   stream.Output("a", v1::STREAM_STDOUT, 0, 65'537)};
  EXPECT_TRUE(Has(Broken(events), "has 65537 bytes, not 1 to 65536"));
  v1::OutputSettings* const output = events[0].mutable_received()->mutable_spec()->mutable_output();
  output->set_overflow(v1::OUTPUT_OVERFLOW_RING);
  EXPECT_EQ(Broken(events), "");
}

TEST(EventOrderTest, OutputClosedCountsWhatOutputTold) {
  EventStream stream;
  EXPECT_TRUE(Has(Broken({stream.Received("a"), stream.Starting("a"), stream.Started("a"),
                          stream.Output("a", v1::STREAM_STDERR, 0, 3), stream.Exited("a", 0),
                          stream.Closed("a", 0, 4)}),
                  "counts 0 and 4 bytes, but OUTPUT told of 0 and 3"));
}

TEST(EventOrderTest, AThreadDoesNotExitAndAProcessIsNoThread) {
  EventStream stream;
  stream.mode = v1::MODE_THREAD;
  EXPECT_TRUE(Has(Broken({stream.Received("a"), stream.Starting("a"), stream.Started("a"),
                          stream.Exited("a", 0)}),
                  "a thread ends by THREAD_ENDED"));
  EventStream fork;
  std::vector<v1::Event> events = {fork.Received("a"), fork.Starting("a"), fork.Started("a")};
  v1::Event ended = fork.Next("a");
  ended.mutable_thread_ended()->mutable_returned();
  events.push_back(ended);
  EXPECT_TRUE(Has(Broken(events), "a process ends by EXITED"));
}

TEST(EventOrderTest, AnEndsCauseMustHaveHappened) {
  EventStream stream;
  std::vector<v1::Event> events = {stream.Received("a"), stream.Starting("a"), stream.Started("a")};
  v1::Event exited = stream.Exited("a", 0);
  exited.mutable_exited()->set_cause(v1::END_CAUSE_CANCELLED);
  events.push_back(exited);
  EXPECT_TRUE(Has(Broken(events), "no CANCEL_REQUESTED came before"));
  events.back().mutable_exited()->set_cause(v1::END_CAUSE_TIMED_OUT);
  EXPECT_TRUE(Has(Broken(events), "no TIMED_OUT came before"));
  events.back().mutable_exited()->set_cause(v1::END_CAUSE_OUTPUT_LIMIT);
  EXPECT_TRUE(Has(Broken(events), "no OUTPUT_LIMIT came before"));
}

TEST(EventOrderTest, AnExitIsACodeOrASignal) {
  EventStream stream;
  v1::Event exited = stream.Exited("a", 0);
  const auto end = [](v1::Event last) {
    EventStream own;
    std::vector<v1::Event> events = {own.Received("a"), own.Starting("a"), own.Started("a")};
    last.set_seq(4);
    last.set_cursor(4);
    last.set_attempt(1);
    events.push_back(last);
    return Broken(events);
  };
  EXPECT_EQ(end(exited), "");
  exited.mutable_exited()->set_signal(9);
  EXPECT_TRUE(Has(end(exited), "both an exit code and a signal"));
  exited.mutable_exited()->clear_signal();
  exited.mutable_exited()->set_exit_code(256);
  EXPECT_TRUE(Has(end(exited), "has exit code 256"));
  exited.mutable_exited()->clear_exit_code();
  EXPECT_EQ(end(exited), "") << "unknown is a value";
}

TEST(EventOrderTest, ANewAttemptFollowsOneThatRanNothing) {
  EventStream stream;
  EXPECT_EQ(Broken({stream.Received("a"), stream.Starting("a"), stream.Starting("a"),
                    stream.Started("a")}),
            "");
  EventStream other;
  EXPECT_TRUE(Has(
      Broken({other.Received("a"), other.Starting("a"), other.Started("a"), other.Starting("a")}),
      "came when it was running"));
}

TEST(EventOrderTest, AParentsEventsAreNumberedPerIncarnation) {
  EventStream stream;
  std::vector<v1::Event> events;
  for (const uint64_t incarnation : {1, 2}) {
    v1::Event started = stream.OfParent("default", incarnation);
    started.mutable_parent_started();
    v1::Event ended = stream.OfParent("default", incarnation);
    ended.mutable_parent_ended();
    events.push_back(started);
    events.push_back(ended);
  }
  EXPECT_EQ(Broken(events), "");
  v1::Event more = stream.OfParent("default", 2);
  more.mutable_parent_ending();
  events.push_back(more);
  EXPECT_TRUE(Has(Broken(events), "PARENT_ENDING of parent 'default'"));
}

TEST(EventOrderTest, AGapExplainsAJumpOfEachJobOnce) {
  EventStream stream;
  v1::Event gap;
  gap.mutable_gap()->set_first_cursor(1);
  gap.mutable_gap()->set_last_cursor(3);
  gap.mutable_gap()->set_why("no longer kept");
  (void)stream.Received("a");
  (void)stream.Starting("a");
  (void)stream.Started("a");
  const v1::Event output = stream.Output("a", v1::STREAM_STDOUT, 10, 1);
  EXPECT_EQ(
      Broken({gap, output, stream.Exited("a", 1), stream.Closed("a", 11, 0), stream.Cleaned("a")}),
      "");
  EXPECT_NE(Broken({output}), "");
  (void)stream.Next("a");
  v1::Event jump = stream.Next("a");
  jump.mutable_signalled();
  EXPECT_TRUE(Has(Broken({gap, output, jump}), "its seq must be"));
}

TEST(EventOrderTest, AResumedStreamStartsInTheMiddle) {
  EventStream stream;
  (void)stream.Received("a");
  (void)stream.Starting("a");
  (void)stream.Started("a");
  EventOrder order;
  order.StartsInTheMiddle();
  EXPECT_FALSE(order.Check(stream.Exited("a", 1)));
  EXPECT_TRUE(order.Check(stream.Exited("a", 1)));
}

TEST(EventRulesTest, EveryPayloadHasARule) {
  const auto* oneof = v1::Event::descriptor()->FindOneofByName("payload");
  ASSERT_EQ(static_cast<size_t>(oneof->field_count()), EventRules().size());
  for (int i = 0; i < oneof->field_count(); ++i) {
    std::string name = oneof->field(i)->name();
    for (char& c : name) c = static_cast<char>(std::toupper(c));
    const EventRule& rule = EventRules()[static_cast<size_t>(i)];
    EXPECT_EQ(rule.name, name);
    EXPECT_EQ(static_cast<int>(rule.payload), oneof->field(i)->number());
  }
}

TEST(EventRulesTest, TheTableInTheDocsIsTheOneInTheCode) {
  const char* source = std::getenv("BROOD_SOURCE_DIR");
  ASSERT_NE(source, nullptr) << "run it by ctest";
  std::ifstream file(std::string(source) + "/docs/events.md");
  ASSERT_TRUE(file.is_open());
  std::vector<std::string> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| ") && !line.starts_with("| Event ")) rows.push_back(line);
  }
  std::vector<std::string> wanted;
  for (const EventRule& rule : EventRules()) wanted.push_back(EventRuleRow(rule));
  EXPECT_EQ(rows, wanted);
}

}  // namespace
}  // namespace brood
