// SPDX-License-Identifier: Apache-2.0
//
// The list of failpoints is that of the code.
#include "tests/chaos/failpoint_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace brood::chaos {
namespace {

// How often each point stands in the text.
void CountPoints(const std::string& text, std::map<std::string, int>* points) {
  static const std::regex kPoint("\\b(?:Failpoint|FailsAt|FailpointInChild)\\(\\s*\"([^\"]*)\"");
  for (std::sregex_iterator found(text.begin(), text.end(), kPoint), end; found != end; ++found)
    ++(*points)[(*found)[1]];
}

std::map<std::string, int> PointsOfTheCode() {
  std::map<std::string, int> points;
  const std::filesystem::path source = std::getenv("BROOD_SOURCE_DIR");
  for (const char* const folder : {"agent", "common", "controller"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(source / folder)) {
      if (entry.path().extension() != ".cc" && entry.path().extension() != ".h") continue;
      std::ifstream file(entry.path());
      CountPoints(std::string(std::istreambuf_iterator<char>(file), {}), &points);
    }
  }
  return points;
}

TEST(FailpointListTest, TheReaderOfTheCodeSeesPoints) {
  std::map<std::string, int> points;
  CountPoints("if (FailsAt(\n  \"a.b\", &size)) brood::Failpoint(\"c\"); Other(\"d\");", &points);
  EXPECT_THAT(points, ::testing::ElementsAre(std::pair("a.b", 1), std::pair("c", 1)));
}

TEST(FailpointListTest, HasEveryPointOfTheCodeAndNoOther) {
  std::set<std::string> listed;
  for (const FailpointRun& run : AllFailpointRuns()) listed.insert(run.point);
  std::set<std::string> written;
  for (const auto& [point, times] : PointsOfTheCode()) written.insert(point);
  EXPECT_THAT(listed, ::testing::ContainerEq(written));
  EXPECT_GE(written.size(), 40u);
}

TEST(FailpointListTest, EveryPointCanKill) {
  std::map<std::string, int> kills;
  for (const FailpointRun& run : AllFailpointRuns())
    kills[run.point] += run.action == FailAction::kKill;
  for (const auto& [point, count] : kills) EXPECT_GT(count, 0) << point;
}

TEST(FailpointListTest, NoPointStandsInTwoPlaces) {
  for (const auto& [point, times] : PointsOfTheCode()) EXPECT_EQ(times, 1) << point;
}

}  // namespace
}  // namespace brood::chaos
