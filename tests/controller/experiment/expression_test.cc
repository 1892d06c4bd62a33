// SPDX-License-Identifier: Apache-2.0
//
// The language of claims, over facts that the test makes up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "common/job/nearest_word.h"
#include "controller/experiment/evaluator.h"
#include "controller/experiment/verdict.h"

namespace brood {
namespace {

using ::testing::HasSubstr;

v1::Event EventAt(uint64_t cursor) {
  v1::Event event;
  event.set_cursor(cursor);
  event.set_evidence(v1::EVIDENCE_SEEN);
  return event;
}

class ClaimTest : public ::testing::Test {
 protected:
  ClaimTest() {
    // Two kids: started at 10 and 11, exited with 3 at 20 and with 4 at 21.
    for (int i = 0; i < 2; ++i) {
      ObservedJob kid;
      kid.name = "kid[" + std::to_string(i + 1) + "]";
      kid.job.set_job_id("run-kid." + std::to_string(i + 1));
      kid.job.set_pid(100 + i);
      v1::Event started = EventAt(static_cast<uint64_t>(10 + i));
      started.mutable_started()->mutable_fork_time()->set_nanos(500'000'000);
      v1::Event exited = EventAt(static_cast<uint64_t>(20 + i));
      exited.mutable_exited()->set_exit_code(3 + i);
      kid.events = {started, exited};
      seen_.jobs["kid"].push_back(std::move(kid));
    }
    ObservedJob lost;
    lost.name = "lost";
    v1::Event end = EventAt(30);
    end.set_evidence(v1::EVIDENCE_INFERRED);
    end.mutable_lost()->set_why("nobody saw it");
    lost.events = {end};
    seen_.jobs["lost"].push_back(std::move(lost));

    ObservedParent& parent = seen_.parents["p"];
    parent.name = "p";
    parent.parent.set_pid(50);
    v1::Event parent_ended = EventAt(15);
    parent_ended.mutable_parent_ended()->set_signal(9);
    parent.events = {parent_ended};

    ObservedReading& reading = seen_.readings["x"];
    reading.name = "x";
    reading.pid = 50;
    reading.cell.mutable_value()->set_int_value(5);
    reading.cell.mutable_outside()->mutable_value()->set_int_value(5);
    v1::CellCopy* const copy = reading.cell.add_copies();
    copy->set_job_id("run-kid.2");
    copy->mutable_outside()->mutable_value()->set_int_value(105);
    copy->set_page(v1::PAGE_STATE_OWN);
  }

  Truth Of(const std::string& text) {
    const Result<Expression> expression = ParseExpression(text);
    EXPECT_TRUE(expression.ok()) << (expression ? "" : expression.error().message);
    return expression ? Check(seen_, *expression).truth : Truth::kUnknown;
  }

  std::string ErrorOf(const std::string& text) {
    const Result<Expression> expression = ParseExpression(text);
    return expression ? "" : expression.error().message;
  }

  Observations seen_;
};

TEST_F(ClaimTest, WhatIsTrueOfEachOfAGroupIsTrueOfIt) {
  EXPECT_EQ(Of("kid.exited.exit_code >= 3"), Truth::kTrue);
  EXPECT_EQ(Of("kid.exited.exit_code == 3"), Truth::kFalse);
  EXPECT_EQ(Of("kid[1].exited.exit_code == 3"), Truth::kTrue);
  EXPECT_EQ(Of("kid[-1].ended.exit_code == 4"), Truth::kTrue);
  EXPECT_EQ(Of("any(kid.exited.exit_code == 4)"), Truth::kTrue);
  EXPECT_EQ(Of("distinct(kid.pid) == 2 and sum(kid.exited.exit_code) == 7"), Truth::kTrue);
  EXPECT_EQ(Of("median(kid.started.fork_time) == 0.5"), Truth::kTrue);
  EXPECT_EQ(Of("kid.pid == kid.pid"), Truth::kTrue);
}

TEST_F(ClaimTest, EventsAreOrderedByTheirCursors) {
  EXPECT_EQ(Of("before(p.parent_ended, kid.exited)"), Truth::kTrue);
  EXPECT_EQ(Of("before(kid.exited, p.parent_ended)"), Truth::kFalse);
  EXPECT_EQ(Of("overlap(kid[1], kid[2])"), Truth::kTrue);
  EXPECT_EQ(Of("max(kid.started.cursor) < min(kid.exited.cursor)"), Truth::kTrue);
}

TEST_F(ClaimTest, ReadingsAndCopiesAreFoundByTheJobsName) {
  EXPECT_EQ(Of("x.value == 5 and x.outside.value == 5 and x.pid == p.pid"), Truth::kTrue);
  EXPECT_EQ(Of("x.copies.kid[2].outside.value == 105"), Truth::kTrue);
  EXPECT_EQ(Of("x.copies.kid[2].page == \"OWN\""), Truth::kTrue);
  EXPECT_EQ(Of("x.copies.kid[1].outside.value == 5"), Truth::kUnknown) << "it was not read there";
}

TEST_F(ClaimTest, WhatWasOnlyInferredIsUnknown) {
  EXPECT_EQ(Of("lost.lost.may_have_run == false"), Truth::kUnknown);
  EXPECT_EQ(Of("not lost.lost.may_have_run"), Truth::kUnknown);
  EXPECT_EQ(Of("lost.lost.evidence == \"INFERRED\""), Truth::kTrue);
}

TEST_F(ClaimTest, WhatIsMissingIsUnknownAndNeverFalseOrZero) {
  EXPECT_EQ(Of("kid.reparented.new_ppid == 1"), Truth::kUnknown);
  EXPECT_EQ(Of("kid.exited.signal != 9"), Truth::kUnknown);
  EXPECT_EQ(Of("kid.nonsense == 1"), Truth::kUnknown);
  EXPECT_EQ(Of("kid[3].pid == 1"), Truth::kUnknown);
  EXPECT_EQ(Of("count(kid.reparented) == 0"), Truth::kTrue);
  EXPECT_EQ(Of("not exists(kid.reparented)"), Truth::kTrue);
  EXPECT_EQ(Of("kid.memory[*].after == 1"), Truth::kUnknown) << "of nothing, nothing is true";
}

TEST_F(ClaimTest, UnknownIsNeitherTrueNorFalseInAndAndOr) {
  const std::string unknown = "kid[1].exited.signal == 9";
  EXPECT_EQ(Of("false and " + unknown), Truth::kFalse);
  EXPECT_EQ(Of("true or " + unknown), Truth::kTrue);
  EXPECT_EQ(Of("true and " + unknown), Truth::kUnknown);
  EXPECT_EQ(Of("not (" + unknown + ")"), Truth::kUnknown);
}

TEST_F(ClaimTest, NumbersKeepAll64BitsAndDoNotBecomeTexts) {
  EXPECT_EQ(Of("9223372036854775807 == 9223372036854775807"), Truth::kTrue);
  EXPECT_EQ(Of("9223372036854775807 == 9223372036854775806"), Truth::kFalse);
  EXPECT_EQ(Of("2 + 3 * 4 == 14 and (2 + 3) * 4 == 20 and -1 < 0 and 7 / 2 == 3.5"), Truth::kTrue);
  EXPECT_EQ(Of("5 == \"5\""), Truth::kFalse);
  EXPECT_EQ(Of("1 / 0 == 1"), Truth::kUnknown);
}

TEST_F(ClaimTest, AMistakeIsNamedWithItsColumn) {
  EXPECT_THAT(ErrorOf("kid.pid =="), HasSubstr("something is missing"));
  EXPECT_THAT(ErrorOf("kid.pid == 1 1"), HasSubstr("'1' is left over"));
  EXPECT_THAT(ErrorOf("cuont(kid.pid) == 1"), HasSubstr("no function 'cuont'"));
  EXPECT_THAT(ErrorOf("kid[x].pid == 1"), HasSubstr("'[x]' is no index"));
  EXPECT_THAT(ErrorOf("a == 'b"), HasSubstr("no end at column 6"));
  EXPECT_THAT(ErrorOf("a ? b"), HasSubstr("column 3"));
  EXPECT_THAT(ErrorOf(std::string(1000, '(')), HasSubstr("nested too deep"));
}

TEST_F(ClaimTest, AClaimPassesOnlyIfAllOfItIsKnownAndTrue) {
  Experiment experiment;
  const auto claim = [&](const std::string& check) {
    Claim& one = experiment.claims.emplace_back();
    one.says = check;
    one.checks.push_back(*ParseExpression(check));
  };
  claim("kid.pid > 0");
  claim("kid.pid > 100");
  claim("kid.exited.signal == 9");
  claim("later.pid == 1");
  seen_.not_run["later"] = "step 4 never ran, because step 3 failed";
  const HostVerdict verdict = Judge(experiment, seen_);
  EXPECT_EQ(verdict.claims[0].verdict, Verdict::kPassed);
  EXPECT_EQ(verdict.claims[1].verdict, Verdict::kFailed);
  EXPECT_EQ(verdict.claims[2].verdict, Verdict::kUnknown);
  EXPECT_EQ(verdict.claims[3].verdict, Verdict::kNotRun);
  EXPECT_THAT(verdict.claims[3].why, HasSubstr("step 4 never ran"));
  EXPECT_EQ(verdict.verdict, Verdict::kFailed);
  EXPECT_THAT(verdict.claims[0].checks[0].evidence, ::testing::ElementsAre("kid.pid = [100, 101]"));
}

TEST_F(ClaimTest, AWriteIsVisibleOnlyWhereItWasSeen) {
  v1::Event write = EventAt(12);
  write.mutable_unit()->set_parent("run-p");
  v1::Memory& memory = *write.mutable_memory();
  memory.add_visible_to("run-kid.1");
  memory.add_readings()->set_pid(50);
  v1::MemoryReading* const failed = memory.add_readings();
  failed->set_job_id("run-kid.2");
  failed->set_error("the process has ended");
  seen_.jobs["kid"][0].events.push_back(write);
  EXPECT_EQ(Of("visible(kid[1].memory, kid[1])"), Truth::kTrue);
  EXPECT_EQ(Of("visible(kid[1].memory, p)"), Truth::kFalse) << "it was read, and was not there";
  EXPECT_EQ(Of("visible(kid[1].memory, kid[2])"), Truth::kUnknown) << "it could not be read";
}

TEST(NearestWordTest, FindsWhatWasMeantAndNothingFarFetched) {
  const std::vector<std::string> known = {"start-parent", "call", "wait", "read"};
  EXPECT_EQ(NearestWord("strat-parent", known), "start-parent");
  EXPECT_EQ(NearestWord("cal", known), "call");
  EXPECT_EQ(NearestWord("xyz", known), "");
}

}  // namespace
}  // namespace brood
