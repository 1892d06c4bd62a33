// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <sstream>

#include "common/job/duration.h"
#include "common/job/job_id.h"
#include "controller/cli/line_output.h"
#include "controller/cli/run_id.h"
#include "controller/cli/table.h"
#include "controller/cli/visible.h"

namespace brood::cli {
namespace {

TEST(TableTest, AlignsColumnsWithoutBlanksAtTheEndOfALine) {
  Table table({"HOST", "N", "WHAT"});
  table.AlignRight(1);
  table.Add({"a", "7", ""});
  table.Add({"h\xc3\xb6st-2", "123", "x y"});
  table.Add({"c"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(),
            "HOST      N  WHAT\n"
            "a         7  -\n"
            "h\xc3\xb6st-2  123  x y\n"
            "c         -  -\n");
}

TEST(VisibleTest, ShowsWhatATerminalWouldObeyAndLeavesTheRest) {
  EXPECT_EQ(Visible("\x1b[2J\r\a\x7f"), "\\x1b[2J\\r\\x07\\x7f");
  EXPECT_EQ(Visible("tab\t\xe2\x82\xac"), "tab\t\xe2\x82\xac");
  EXPECT_EQ(Visible("\x9b"
                    "1m \xc2\x9b"
                    "1m"),
            "\\x9b1m \\x9b1m");
  EXPECT_EQ(Visible("a\nb"), "a\\nb");
  EXPECT_EQ(Visible("a\nb", true), "a\nb");
  // A character that is cut off is no control.
  EXPECT_EQ(Visible("\xe2\x82"), "\xe2\\x82");
}

TEST(LineOutputTest, PassesBytesAsTheyComeWithoutLines) {
  LineOutput output({});
  EXPECT_EQ(output.Add(std::string("a\0b", 3)), std::string("a\0b", 3));
  EXPECT_EQ(output.Finish(), "");
}

TEST(LineOutputTest, KeepsLinesWholeAndLabelsThem) {
  LineOutput output({true, "h: ", false});
  EXPECT_EQ(output.Add("on"), "");
  EXPECT_EQ(output.Add("e\n\ntwo"), "h: one\nh: \n");
  EXPECT_EQ(output.Finish(), "h: two\n");
  EXPECT_EQ(output.Finish(), "");
}

TEST(LineOutputTest, AddsNoEndOfLineWithoutALabel) {
  LineOutput output({true, "", false});
  EXPECT_EQ(output.Add("one\ntwo"), "one\n");
  EXPECT_EQ(output.Finish(), "two");
}

TEST(LineOutputTest, CutsALineThatIsTooLong) {
  LineOutput output({true, "h: ", false});
  const std::string most(LineOutput::kLineBytesMax, 'x');
  EXPECT_EQ(output.Add(most), "");
  EXPECT_EQ(output.Add("yz\n"), "h: " + most + "\nh: yz\n");
  EXPECT_EQ(output.Add(most + "\n"), "h: " + most + "\n");
}

TEST(DurationTest, ReadsWhatPeopleWrite) {
  const auto nanos = [](const char* text) {
    const auto duration = ParseDuration(text, "--timeout");
    return duration.ok() ? duration->seconds() * 1'000'000'000 + duration->nanos() : -1;
  };
  EXPECT_EQ(nanos("300ms"), 300'000'000);
  EXPECT_EQ(nanos("1s"), 1'000'000'000);
  EXPECT_EQ(nanos("1.5s"), 1'500'000'000);
  EXPECT_EQ(nanos("2m"), 120'000'000'000);
  EXPECT_EQ(nanos("1h"), 3'600'000'000'000);
  EXPECT_EQ(nanos("0"), 0);
  for (const char* bad : {"", "s", "5", "-1s", "1 s", "1x", "nan", "1e9d", "99999d", "1s2"}) {
    EXPECT_EQ(nanos(bad), -1) << bad;
  }
}

TEST(DurationTest, WritesWhatPeopleRead) {
  EXPECT_EQ(DurationText(350'000'000), "350 ms");
  EXPECT_EQ(DurationText(1'250'000'000), "1.2 s");
  EXPECT_EQ(DurationText(185'000'000'000), "3 min 5 s");
  EXPECT_EQ(DurationText(7'440'000'000'000), "2 h 4 min");
}

TEST(RunIdTest, IsAValidJobIdAndNewEveryTime) {
  const std::string id = NewRunId();
  EXPECT_EQ(id.size(), 12u);
  EXPECT_FALSE(ValidateJobId("id", id));
  EXPECT_NE(id, NewRunId());
}

}  // namespace
}  // namespace brood::cli
