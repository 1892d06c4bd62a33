// SPDX-License-Identifier: Apache-2.0
//
// What a run of many hosts puts together: equal output, differences, news; and its files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <random>
#include <sstream>

#include "controller/cli/gathered_output.h"
#include "controller/cli/host_notes.h"
#include "controller/cli/out_directory.h"
#include "controller/cli/unified_diff.h"
#include "tests/testing/temp_directory.h"

namespace brood::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using State = GatheredOutput::Group::State;

std::string Bytes(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

TEST(GatheredOutputTest, PutsHostsWithTheSameOutputTogetherTheLargestGroupFirst) {
  GatheredOutput output(4);
  output.Add(0, "other\n");
  for (const size_t host : {3, 1, 2}) {
    output.Add(host, "sa");
    output.Add(host, "me\n");
  }
  for (const size_t host : {3, 0, 2, 1}) output.Complete(host);
  const auto groups = output.Groups();
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].text, "same\n");
  EXPECT_THAT(groups[0].hosts, ElementsAre(1, 2, 3));
  EXPECT_EQ(groups[1].text, "other\n");
}

TEST(GatheredOutputTest, TakesALastLineWithoutAnEndForTheSameAsOneWith) {
  GatheredOutput output(2);
  output.Add(0, "x");
  output.Add(1, "x\n");
  output.Complete(0);
  output.Complete(1);
  ASSERT_EQ(output.Groups().size(), 1u);
  EXPECT_EQ(output.Groups()[0].text, "x\n");
}

TEST(GatheredOutputTest, NeverCallsWhatItHasOnlyAPartOfEqual) {
  GatheredOutput output(4, 4);
  EXPECT_FALSE(output.Add(0, "abcd"));
  EXPECT_TRUE(output.Add(1, "abcdX"));
  EXPECT_FALSE(output.Add(1, "more"));  // said once
  EXPECT_TRUE(output.Add(2, "abcdY"));
  output.Add(3, "abcd");  // and is lost
  for (const size_t host : {0, 1, 2}) output.Complete(host);
  const auto groups = output.Groups();
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0].state, State::kWhole);
  EXPECT_EQ(groups[1].state, State::kCut);
  EXPECT_EQ(groups[2].state, State::kCut);
  EXPECT_EQ(groups[3].state, State::kIncomplete);
}

TEST(GatheredOutputTest, CountsWhatIsEqualOnceAgainstTheLimitOfAll) {
  GatheredOutput output(100, 10, 25);
  for (size_t host = 0; host < 99; ++host) {
    EXPECT_FALSE(output.Add(host, "0123456789")) << host;
    output.Complete(host);
  }
  EXPECT_FALSE(output.Add(99, "0123456780"));
}

TEST(GatheredOutputTest, HasNoGroupOfHostsThatSentNothingAndAreLost) {
  GatheredOutput output(2);
  output.Complete(0);
  const auto groups = output.Groups();
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].text, "");
  EXPECT_THAT(groups[0].hosts, ElementsAre(0));
}

TEST(UnifiedDiffTest, IsThatOfDiff) {
  EXPECT_EQ(UnifiedDiff("", ""), "");
  EXPECT_EQ(UnifiedDiff("a\n", "a\n"), "");
  EXPECT_EQ(UnifiedDiff("cores 16\n", "cores 12\n"), "@@ -1 +1 @@\n-cores 16\n+cores 12\n");
  EXPECT_EQ(UnifiedDiff("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b\n");
  EXPECT_EQ(UnifiedDiff("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
  EXPECT_EQ(UnifiedDiff("1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\nx\n5\n6\n"),
            "@@ -2,5 +2,6 @@\n 2\n 3\n 4\n+x\n 5\n 6\n");
  const std::string far = "a\n1\n2\n3\n4\n5\n6\n7\nb\n";
  EXPECT_EQ(UnifiedDiff(far, "A\n1\n2\n3\n4\n5\n6\n7\nB\n"),
            "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
  EXPECT_EQ(UnifiedDiff("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n"),
            "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
}

// Does what a patch says; fails the test where it does not fit.
std::string Patched(const std::string& from, const std::string& patch) {
  std::istringstream source(from);
  std::istringstream hunks(patch);
  std::string result;
  std::string line;
  std::string theirs;
  size_t at = 0;
  while (std::getline(hunks, line)) {
    if (line.rfind("@@ -", 0) == 0) {
      const size_t first = std::stoul(line.substr(4));
      const std::string range = line.substr(4, line.find(' ', 4) - 4);
      const bool empty = range.find(",0") != std::string::npos;
      for (; at + (empty ? 0 : 1) < first; ++at) {
        std::getline(source, theirs);
        result += theirs + "\n";
      }
      continue;
    }
    if (line[0] != '+') {
      EXPECT_TRUE(std::getline(source, theirs));
      EXPECT_EQ(theirs, line.substr(1));
      ++at;
    }
    if (line[0] != '-') result += line.substr(1) + "\n";
  }
  while (std::getline(source, theirs)) result += theirs + "\n";
  return result;
}

TEST(UnifiedDiffTest, MakesTheSecondOfTheFirst) {
  std::mt19937 random(7);
  const auto text = [&random] {
    std::string lines;
    for (size_t count = random() % 30; count > 0; --count)
      lines += std::string(1, static_cast<char>('a' + random() % 4)) + "\n";
    return lines;
  };
  for (int i = 0; i < 3000; ++i) {
    const std::string from = text();
    const std::string to = text();
    ASSERT_EQ(Patched(from, UnifiedDiff(from, to)), to) << from << "->\n" << to;
  }
}

TEST(UnifiedDiffTest, GivesUpSeekingWhereNothingIsInCommonButIsStillTrue) {
  std::string from = "same\n";
  std::string to = "same\n";
  for (size_t i = 0; i < kDiffChangesMax; ++i) {
    from += "a" + std::to_string(i) + "\n";
    to += "b" + std::to_string(i) + "\n";
  }
  EXPECT_EQ(Patched(from, UnifiedDiff(from, to)), to);
}

std::vector<std::string> Printed(const std::function<void(HostNotes&)>& add) {
  std::vector<std::string> lines;
  HostNotes notes({"n07", "n08", "n09"},
                  [&lines](const std::string& hosts, const std::string& sentence) {
                    lines.push_back(hosts + ": " + sentence);
                  });
  add(notes);
  notes.Flush();
  return lines;
}

TEST(HostNotesTest, SayOnceWhatIsNewsOfSeveralHosts) {
  EXPECT_THAT(Printed([](HostNotes& notes) {
                notes.Add(0, {"down at 1", "down"});
                notes.Add(1, {"slow at 2", "slow"});
                notes.Add(2, {"down at 3", "down"});
              }),
              ElementsAre("n[07,09]: down", "n08: slow at 2"));
}

TEST(HostNotesTest, KeepTheOrderOfWhatHappensToAHostAgain) {
  EXPECT_THAT(Printed([](HostNotes& notes) {
                notes.Add(0, {"lost", "lost"});
                notes.Add(0, {"back", "back"});
                notes.Add(0, {"lost", "lost"});
              }),
              ElementsAre("n07: lost", "n07: back", "n07: lost"));
}

TEST(HostNotesTest, TellOfUnreachableHostsWithoutTheirAddresses) {
  const auto news = [](const std::string& target) {
    return NewsOf(
        Error{ErrorCode::kUnavailable, "UNREACHABLE",
              "the agent at '" + target +
                  "' cannot be reached: failed to connect to all addresses; last error: UNKNOWN: " +
                  (target[0] == 'u' ? target : "ipv4:" + target) +
                  ": Connection refused; see that brood-agent runs there",
              ""},
        target);
  };
  EXPECT_EQ(news("unix:/a/b.sock").together,
            "unreachable: Connection refused; see that brood-agent runs there");
  EXPECT_EQ(news("127.0.0.1:9").together, news("unix:/a/b.sock").together);
  EXPECT_THAT(news("unix:/a/b.sock").alone,
              HasSubstr("unreachable: the agent at 'unix:/a/b.sock'"));
}

TEST(OutDirectoryTest, HasTwoFilesOfEachHostAndNothingOfAnEarlierRun) {
  testing::TempDirectory folder;
  const std::string path = folder.path() + "/out";
  for (const std::string text : {"old and long\n", "new\n"}) {
    auto files = OutDirectory::Create(path, {"n1", "n2"});
    ASSERT_TRUE(files) << files.error().message;
    EXPECT_FALSE((*files)->Write(0, true, text));
    EXPECT_FALSE((*files)->Write(0, true, text));
    EXPECT_FALSE((*files)->Write(1, false, "bad\n"));
    (*files)->Close(0);
  }
  EXPECT_EQ(Bytes(path + "/n1.out"), "new\nnew\n");
  EXPECT_EQ(Bytes(path + "/n1.err"), "");
  EXPECT_EQ(Bytes(path + "/n2.err"), "bad\n");
  EXPECT_EQ(::access((path + "/n2.out").c_str(), F_OK), 0);
}

TEST(OutDirectoryTest, SaysWhichPathCannotBeAndWhatToDo) {
  testing::TempDirectory folder;
  std::ofstream(folder.path() + "/file") << "x";
  for (const std::string name : {"/file", "/file/below", "/none/below"}) {
    const auto files = OutDirectory::Create(folder.path() + name, {"n1"});
    ASSERT_FALSE(files) << name;
    EXPECT_THAT(files.error().message, HasSubstr("--outdir: '" + folder.path() + name + "'"));
    EXPECT_THAT(files.error().message, HasSubstr("name a folder that you may write to"));
  }
  EXPECT_FALSE(OutDirectory::Create("/proc", {"n1"}));
  EXPECT_EQ(Bytes(folder.path() + "/file"), "x");
}

TEST(OutDirectoryTest, SaysOnceThatAFileCannotBeWrittenAndGoesOnWithTheOthers) {
  testing::TempDirectory folder;
  const std::string path = folder.path() + "/out";
  auto files = OutDirectory::Create(path, {"n1"});
  ASSERT_TRUE(files);
  ::unlink((path + "/n1.out").c_str());
  ASSERT_EQ(::symlink("/dev/full", (path + "/n1.out").c_str()), 0);
  const Status first = (*files)->Write(0, true, "x");
  ASSERT_TRUE(first);
  EXPECT_THAT(first->message, HasSubstr(path + "/n1.out"));
  EXPECT_FALSE((*files)->Write(0, true, "x"));
  EXPECT_FALSE((*files)->Write(0, false, "x"));
}

}  // namespace
}  // namespace brood::cli
