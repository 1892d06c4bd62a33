// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/demo_facts.h"

#include <gtest/gtest.h>

namespace brood {
namespace {

constexpr int kParent = 100;
constexpr size_t kClaims = 6;

RanJob Ran(int pid, int tid, int ppid, int64_t returned) {
  RanJob ran;
  ran.job.set_pid(pid);
  ran.job.set_tid(tid);
  ran.job.set_ppid(ppid);
  ran.returned.emplace().set_int_value(returned);
  return ran;
}

// A host on which everything is as claimed.
DemoFacts Good() {
  DemoFacts facts;
  facts.host = "host1";
  facts.wc.out = "5644 /a/text\n";
  facts.words_fork = Ran(200, 200, kParent, 5644);
  facts.words_thread = Ran(kParent, 201, 1, 5644);
  facts.add_thread = Ran(kParent, 202, 1, kThreadAdds);
  facts.after_thread = {kParent, 0x1000, kThreadAdds};
  facts.add_fork = Ran(203, 203, kParent, kThreadAdds + kForkAdds);
  facts.after_fork = facts.after_thread;
  return facts;
}

// Which claims do not hold, by number.
std::vector<size_t> Failed(const std::vector<DemoFacts>& hosts) {
  std::vector<size_t> failed;
  const std::vector<Finding> findings = Judge(hosts);
  EXPECT_EQ(findings.size(), kClaims);
  for (size_t i = 0; i < findings.size(); ++i)
    if (!findings[i].held) failed.push_back(i);
  return failed;
}

using Numbers = std::vector<size_t>;

TEST(DemoFactsTest, HoldsWhereEverythingIsAsClaimed) {
  EXPECT_EQ(Failed({Good(), Good()}), Numbers());
}

TEST(DemoFactsTest, ClaimsNothingWithoutHosts) { EXPECT_EQ(Failed({}).size(), kClaims); }

TEST(DemoFactsTest, ClaimsNothingOfWhatWasNotRead) {
  EXPECT_EQ(Failed({DemoFacts()}).size(), kClaims);
}

TEST(DemoFactsTest, FailsIfOneHostOfSeveralDiffers) {
  DemoFacts bad = Good();
  bad.words_fork.returned->set_int_value(5643);
  EXPECT_EQ(Failed({Good(), bad}), Numbers({0}));
}

TEST(DemoFactsTest, SeesAForkThatIsNoProcessOfItsOwn) {
  DemoFacts bad = Good();
  bad.words_fork.job.set_pid(kParent);
  EXPECT_EQ(Failed({bad}), Numbers({1}));
  bad = Good();
  bad.add_fork.job.set_ppid(1);
  EXPECT_EQ(Failed({bad}), Numbers({1}));
}

TEST(DemoFactsTest, SeesAThreadOutsideOfTheParent) {
  DemoFacts bad = Good();
  bad.words_thread.job.set_pid(300);
  EXPECT_EQ(Failed({bad}), Numbers({2}));
}

TEST(DemoFactsTest, SeesThatAThreadsWriteDidNotReachTheParent) {
  DemoFacts bad = Good();
  bad.after_thread.value = 0;
  bad.after_fork.value = 0;
  bad.add_fork.returned->set_int_value(kForkAdds);
  EXPECT_EQ(Failed({bad}), Numbers({3}));
}

TEST(DemoFactsTest, SeesAForkThatBeganFromZero) {
  DemoFacts bad = Good();
  bad.add_fork.returned->set_int_value(kForkAdds);
  EXPECT_EQ(Failed({bad}), Numbers({4}));
}

TEST(DemoFactsTest, SeesThatAForksWriteReachedTheParent) {
  DemoFacts bad = Good();
  bad.after_fork.value = kThreadAdds + kForkAdds;
  EXPECT_EQ(Failed({bad}), Numbers({5}));
}

TEST(DemoFactsTest, DoesNotCompareTwoLivesOfAParent) {
  DemoFacts bad = Good();
  bad.after_fork.pid = 101;
  EXPECT_EQ(Failed({bad}), Numbers({5}));
}

TEST(DemoFactsTest, ReadsTheCountThatWcPrints) {
  RanJob ran;
  EXPECT_EQ(CountOf(ran), std::nullopt);
  ran.out = "  12 /x\n";
  EXPECT_EQ(CountOf(ran), 12);
  ran.out = "wc: /x: No such file or directory\n";
  EXPECT_EQ(CountOf(ran), std::nullopt);
}

}  // namespace
}  // namespace brood
