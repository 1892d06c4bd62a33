// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/twin_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/cli/twin_report.h"

namespace brood {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kParent = 100;
constexpr int kSupervisor = 50;

v1::Value Int(int64_t number) {
  v1::Value value;
  value.set_int_value(number);
  return value;
}

TwinJob Job(int pid, int tid, int ppid, int64_t found, bool in_parent, int64_t start_ns) {
  TwinJob job;
  job.pid = pid;
  job.tid = tid;
  job.ppid = ppid;
  job.start_ns = start_ns;
  job.address = 0x1000;
  job.found = Int(found);
  job.wrote = Int(found + 1);
  job.returned = job.wrote;
  job.end = "returned";
  job.in_parent = OutsideValue{in_parent, Int(found + 1), ""};
  return job;
}

// As it is where forks are copies and threads are not.
TwinFacts True() {
  TwinFacts facts;
  facts.host = "host1";
  facts.call = "demo.add twin 1";
  facts.parent = "p";
  facts.parent_pid = kParent;
  facts.cell = "twin";
  facts.rounds_wanted = 2;
  for (int round = 0; round < 2; ++round) {
    TwinRound read;
    read.before.value = Int(round);
    read.thread = Job(kParent, 201 + round, kSupervisor, round, true, 40'000);
    read.fork = Job(300 + round, 300 + round, kParent, round, false, 400'000);
    read.after.value = read.after.outside = Int(round + 1);
    read.sibling_thread = read.sibling_fork = Int(round + 1);
    facts.rounds.push_back(read);
  }
  TwinEnd& end = facts.end.emplace();
  end.thread.ended_by_parent = true;
  end.fork.job.end = "returned 7";
  end.fork.ended_by_parent = false;
  end.fork.ended_after_parent = true;
  end.fork.new_ppid = kSupervisor;
  end.fork.adopter = "brood-superviso";
  end.thread.job.own_bytes = 0;
  end.fork.job.own_bytes = 4096 * 25;
  return facts;
}

TwinFinding About(const TwinFacts& facts, const std::string& topic) {
  for (const TwinFinding& finding : JudgeTwin(facts))
    if (finding.topic == topic) return finding;
  ADD_FAILURE() << "nothing about " << topic;
  return {};
}

TEST(TwinFactsTest, HasOneSentenceForEachRespectInWhichTheyDiffer) {
  for (const TwinFinding& finding : JudgeTwin(True())) {
    const bool same = finding.topic == "start value";
    EXPECT_EQ(finding.verdict, same ? TwinVerdict::kSame : TwinVerdict::kDiffer) << finding.topic;
    EXPECT_EQ(finding.sentence.back(), '.') << finding.sentence;
  }
}

TEST(TwinFactsTest, ConcludesNothingWhereNothingWasRead) {
  TwinFacts nothing;
  EXPECT_EQ(JudgeTwin(nothing).size(), JudgeTwin(True()).size());
  nothing.rounds.emplace_back();
  for (const TwinFinding& finding : JudgeTwin(nothing)) {
    EXPECT_EQ(finding.verdict, TwinVerdict::kUnknown) << finding.sentence;
    EXPECT_THAT(finding.sentence, HasSubstr("could not be")) << finding.topic;
  }
}

TEST(TwinFactsTest, SaysSoWhereTheForkWasReallyAThread) {
  TwinFacts lie = True();
  for (TwinRound& round : lie.rounds) round.fork.pid = kParent;
  EXPECT_EQ(About(lie, "process").verdict, TwinVerdict::kSame);
  EXPECT_THAT(About(lie, "process").sentence, HasSubstr("did not differ"));
}

TEST(TwinFactsTest, SaysWhoseChildTheForkIsIfNotTheParents) {
  TwinFacts lie = True();
  for (TwinRound& round : lie.rounds) round.fork.ppid = 1;
  EXPECT_THAT(About(lie, "process").sentence, HasSubstr("whose parent process was 1."));
}

TEST(TwinFactsTest, SaysSoWhereTheForksWriteReachedTheParent) {
  TwinFacts lie = True();
  for (TwinRound& round : lie.rounds) round.fork.in_parent->has_write = true;
  EXPECT_EQ(About(lie, "parent").verdict, TwinVerdict::kSame);
  EXPECT_THAT(About(lie, "parent").sentence, HasSubstr("did not differ"));
  EXPECT_EQ(About(lie, "sibling").verdict, TwinVerdict::kSame);
}

TEST(TwinFactsTest, BelievesNoParentThatContradictsWhatWasReadFromOutside) {
  TwinFacts lie = True();
  for (TwinRound& round : lie.rounds) round.after.outside = Int(77);
  EXPECT_EQ(About(lie, "parent").verdict, TwinVerdict::kUnknown);
  EXPECT_THAT(About(lie, "parent").sentence, HasSubstr("77 was read"));
}

TEST(TwinFactsTest, ConcludesNothingFromRoundsThatContradictEachOther) {
  TwinFacts mixed = True();
  mixed.rounds[0].fork.in_parent->has_write = true;
  EXPECT_EQ(About(mixed, "parent").verdict, TwinVerdict::kUnknown);
  EXPECT_THAT(About(mixed, "parent").sentence, HasSubstr("not the same in all rounds"));
}

TEST(TwinFactsTest, SeesAForkThatDidNotBeginWithACopy) {
  TwinFacts lie = True();
  for (TwinRound& round : lie.rounds) round.fork.found = Int(-5);
  EXPECT_EQ(About(lie, "start value").verdict, TwinVerdict::kDiffer);
}

TEST(TwinFactsTest, TakesWhatTheThreadHadWrittenForAStartOfTheFork) {
  TwinFacts facts = True();
  for (TwinRound& round : facts.rounds) round.fork.found = round.thread.wrote;
  EXPECT_EQ(About(facts, "start value").verdict, TwinVerdict::kSame);
}

TEST(TwinFactsTest, SeesASiblingThatReadSomethingElse) {
  TwinFacts facts = True();
  for (TwinRound& round : facts.rounds) round.sibling_fork = Int(99);
  EXPECT_THAT(About(facts, "sibling").sentence, HasSubstr("a sibling fork 99"));
  EXPECT_THAT(About(facts, "sibling").sentence, HasSubstr("Not all saw the same"));
}

TEST(TwinFactsTest, TellsWhatBecameOfBothWhenTheParentEnded) {
  EXPECT_THAT(About(True(), "end").sentence, HasSubstr("the thread ended with it"));
  EXPECT_THAT(About(True(), "end").sentence,
              HasSubstr("went on as a child of process 50 (brood-superviso)"));
  TwinFacts lie = True();
  lie.end->thread = lie.end->fork;
  EXPECT_EQ(About(lie, "end").verdict, TwinVerdict::kSame);
  lie = True();
  lie.end->fork.new_ppid.reset();
  EXPECT_THAT(About(lie, "end").sentence, HasSubstr("as whose child was not seen"));
  lie = True();
  lie.end->fork.ended_after_parent = false;
  EXPECT_EQ(About(lie, "end").verdict, TwinVerdict::kUnknown);
  EXPECT_THAT(About(lie, "end").sentence, HasSubstr("the fork had ended before"));
}

TEST(TwinFactsTest, ComparesMediansAndSaysWhichTookLonger) {
  EXPECT_THAT(About(True(), "start time").sentence, HasSubstr("the fork took 10.0 times"));
  TwinFacts other = True();
  for (TwinRound& round : other.rounds) round.thread.start_ns = 800'000;
  EXPECT_THAT(About(other, "start time").sentence, HasSubstr("the thread took 2.0 times"));
  for (TwinRound& round : other.rounds) round.thread.start_ns = 400'000;
  EXPECT_EQ(About(other, "start time").verdict, TwinVerdict::kSame);
  other.rounds[0].fork.start_ns.reset();
  EXPECT_EQ(About(other, "start time").verdict, TwinVerdict::kUnknown);
}

TEST(TwinFactsTest, TakesUnknownMemoryForUnknownAndNotForNone) {
  TwinFacts facts = True();
  facts.end->thread.job.own_bytes.reset();
  EXPECT_EQ(About(facts, "memory").verdict, TwinVerdict::kUnknown);
  EXPECT_THAT(About(facts, "memory").sentence, HasSubstr("the fork had 100 KiB"));
  EXPECT_THAT(About(facts, "memory").sentence, HasSubstr("the thread an unknown amount"));
}

TEST(TwinFactsTest, TakesTheOneInTheMiddle) {
  EXPECT_EQ(Median({}), std::nullopt);
  EXPECT_EQ(Median({5, 1, 9}), 5);
  EXPECT_EQ(Median({4, 1, 9, 3}), 3);
  EXPECT_EQ(ShortTime(41'499), "41 us");
  EXPECT_EQ(ShortTime(1'240'000), "1.2 ms");
}

// A line of the table as one text.
std::vector<std::string> Lines(const TwinFacts& facts) {
  std::vector<std::string> lines;
  for (const cli::TwinLine& line : cli::TwinLines(facts))
    lines.push_back(line.what + "|" + line.thread + "|" + line.fork);
  return lines;
}

TEST(TwinReportTest, ShowsTheLastRoundAndWhatBecameOfBoth) {
  const std::vector<std::string> lines = Lines(True());
  EXPECT_THAT(lines, Contains("pid|100|301, and 1 others"));
  EXPECT_THAT(lines, Contains("its write in the parent|yes|no"));
  EXPECT_THAT(lines, Contains("memory of its own|0 KiB|100 KiB"));
  EXPECT_THAT(lines,
              Contains("when the parent ended|ended with it|went on, returned 7, child of 50"));
}

TEST(TwinReportTest, ShowsWhatWasNotReadAsUnknownAndNeverAsZero) {
  TwinFacts nothing;
  nothing.cell = "x";
  nothing.rounds.emplace_back();
  nothing.end.emplace();
  for (const std::string& line : Lines(nothing)) {
    EXPECT_THAT(line, Not(HasSubstr("0"))) << line;
    EXPECT_TRUE(line.find("unknown") != std::string::npos ||
                line.find("returned") != std::string::npos)
        << line;
  }
}

}  // namespace
}  // namespace brood
