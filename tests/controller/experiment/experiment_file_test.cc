// SPDX-License-Identifier: Apache-2.0
#include "controller/experiment/experiment_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "controller/experiment/shipped.h"

namespace brood {
namespace {

using ::testing::HasSubstr;

const char kGood[] = R"(name = "mine"
title = "A try"
[[step]]
do = "start-parent"
name = "p"
watch = ["x"]
[[step]]
do = "call"
as = "kid"
task = "demo.add"
args = ["x", 5, 1.5, true]
mode = "fork"
in = "p"
times = "up to 3"
[[step]]
do = "wait"
for = "kid.ended"
within = "2s"
[[claim]]
says = "it ended well"
check = "kid.exited.exit_code == 0"
)";

std::string With(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string ErrorOf(const std::string& text) {
  const Result<Experiment> experiment = ReadExperiment(text, "mine.toml");
  return experiment ? "" : experiment.error().message;
}

TEST(ExperimentFileTest, ReadsWhatIsWritten) {
  const Result<Experiment> experiment = ReadExperiment(kGood, "mine.toml");
  ASSERT_TRUE(experiment.ok()) << experiment.error().message;
  EXPECT_EQ(experiment->name, "mine");
  ASSERT_EQ(experiment->steps.size(), 3u);
  EXPECT_TRUE(experiment->steps[0].watch);
  const Step& kid = experiment->steps[1];
  EXPECT_EQ(kid.spec.mode(), v1::MODE_FORK);
  EXPECT_EQ(kid.spec.call().arguments_size(), 4);
  EXPECT_EQ(kid.times, 3u);
  EXPECT_TRUE(kid.up_to);
  EXPECT_EQ(experiment->steps[2].within_ns, 2'000'000'000);
}

TEST(ExperimentFileTest, AMistakeIsNamedWithLineColumnAndWhatWasMeant) {
  EXPECT_THAT(
      ErrorOf(With("task = ", "taks = ")),
      HasSubstr("mine.toml, line 10, column 1: 'taks' is not understood in a step that does "
                "'call'; did you mean 'task'?"));
  EXPECT_THAT(ErrorOf(With("\"call\"", "\"cal\"")), HasSubstr("did you mean 'call'?"));
  EXPECT_THAT(ErrorOf(With("kid.exited", "kit.exited")),
              HasSubstr("about 'kit', which no step makes; did you mean 'kid'?"));
  EXPECT_THAT(ErrorOf(With("for = \"kid.ended\"", "for = \"kid.endet\"")),
              HasSubstr("'endet' is no event"));
  EXPECT_THAT(ErrorOf(With("in = \"p\"", "in = \"q\"")),
              HasSubstr("no step before this one makes"));
  EXPECT_THAT(ErrorOf(With("== 0", "=! 0")), HasSubstr("line 21"));
  EXPECT_THAT(ErrorOf(With("\"up to 3\"", "0")), HasSubstr("'times' is a whole number"));
  EXPECT_THAT(ErrorOf(With("\"2s\"", "\"2 weeks\"")), HasSubstr("is no duration"));
  EXPECT_THAT(ErrorOf(With("mode = \"fork\"", "mode = \"frok\"")),
              HasSubstr("did you mean 'fork'?"));
  EXPECT_THAT(ErrorOf(With("as = \"kid\"", "as = \"p\"")),
              HasSubstr("already something called 'p'"));
  EXPECT_THAT(ErrorOf(With("name = \"mine\"", "name = \"../x\"")), HasSubstr("is no name"));
  EXPECT_THAT(ErrorOf("name = "), HasSubstr("line 1"));
  EXPECT_THAT(ErrorOf("name = \"a\"\ntitle = \"b\"\n"), HasSubstr("no [[step]]"));
  EXPECT_THAT(ErrorOf(std::string(2 << 20, ' ')), HasSubstr("larger than 1 MiB"));
}

TEST(ExperimentFileTest, TheThirteenThatComeWithBroodAreInOrderAndEachHasAControl) {
  int number = 0;
  for (const ShippedExperiment& shipped : ShippedExperiments()) {
    const Result<Experiment> experiment = ReadExperiment(shipped.text, shipped.file);
    ASSERT_TRUE(experiment.ok()) << experiment.error().message;
    EXPECT_EQ(experiment->name, "C" + std::to_string(++number));
    EXPECT_NE(experiment->says, "");
    bool control = false;
    for (const Claim& claim : experiment->claims) control = control || claim.control;
    EXPECT_TRUE(control) << experiment->name;
    // Nothing that takes time may be judged.
    for (const Claim& claim : experiment->claims) {
      for (const Expression& check : claim.checks) {
        EXPECT_EQ(check.text.find("mono"), std::string::npos) << check.text;
        EXPECT_EQ(check.text.find("_time"), std::string::npos) << check.text;
      }
    }
  }
  EXPECT_EQ(number, 13);
}

}  // namespace
}  // namespace brood
