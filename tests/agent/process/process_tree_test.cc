// SPDX-License-Identifier: Apache-2.0
//
// The search in made-up tables: pids are far above any real one, so that no
// environment is found for them.
#include "agent/process/process_tree.h"

#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr pid_t kBase = 1 << 27;
constexpr uint64_t kStart = 1000;  // ticks

int64_t Nanos(uint64_t ticks) {
  ProcessEntry entry;
  entry.start_ticks = ticks;
  return entry.start_ns();
}

ProcessEntry Process(pid_t pid, pid_t ppid, pid_t session, uint64_t start = kStart) {
  ProcessEntry entry;
  entry.pid = kBase + pid;
  entry.ppid = kBase + ppid;
  entry.pgid = entry.session = kBase + session;
  entry.start_ticks = start;
  entry.state = 'S';
  entry.threads = 1;
  return entry;
}

JobRoot Root(pid_t pid, int64_t start_ns = Nanos(kStart)) {
  return JobRoot{kBase + pid, start_ns, "", "here", ""};
}

std::vector<pid_t> Find(const std::vector<ProcessEntry>& table, const JobRoot& root,
                        const std::set<pid_t>& excluded = {}) {
  std::set<pid_t> barred;
  for (const pid_t pid : excluded) barred.insert(kBase + pid);
  std::vector<pid_t> pids;
  for (const ProcessEntry& process : FindTreeIn(table, root, barred)) {
    pids.push_back(process.pid - kBase);
  }
  return pids;
}

TEST(ProcessTreeTest, FindsAllGenerationsParentsFirst) {
  const std::vector<ProcessEntry> table = {Process(3, 10, 3), Process(5, 3, 5), Process(10, 1, 10),
                                           Process(11, 5, 11), Process(20, 1, 20)};
  EXPECT_THAT(Find(table, Root(10)), ElementsAre(10, 3, 5, 11));
}

TEST(ProcessTreeTest, FindsTheSessionWithoutItsLeader) {
  const std::vector<ProcessEntry> table = {Process(12, 1, 10), Process(13, 12, 13),
                                           Process(14, 1, 14)};
  EXPECT_THAT(Find(table, Root(10)), UnorderedElementsAre(12, 13));
}

TEST(ProcessTreeTest, FindsTheProcessGroupInAnotherSession) {
  ProcessEntry member = Process(12, 1, 99);
  member.pgid = kBase + 10;
  EXPECT_THAT(Find({member}, Root(10)), ElementsAre(12));
}

TEST(ProcessTreeTest, TakesNothingThatBelongsToANewOwnerOfThePid) {
  // 10 began an hour after the job: the job's leader is long gone.
  const uint64_t later = kStart + 3600 * 100;
  const std::vector<ProcessEntry> table = {Process(10, 1, 10, later), Process(12, 10, 10, later)};
  EXPECT_THAT(Find(table, Root(10)), IsEmpty());
}

TEST(ProcessTreeTest, TakesNothingByPidWhenTheStartIsUnknown) {
  EXPECT_THAT(Find({Process(10, 1, 10), Process(11, 10, 10)}, Root(10, 0)), IsEmpty());
}

TEST(ProcessTreeTest, AllowsForAStartThatWasRecordedLate) {
  EXPECT_THAT(Find({Process(10, 1, 10)}, Root(10, Nanos(kStart + 3600 * 100))), ElementsAre(10));
  EXPECT_THAT(Find({Process(10, 1, 10)}, Root(10, Nanos(kStart) - 1)), IsEmpty())
      << "it began after the leader was there: another one";
}

TEST(ProcessTreeTest, TakesNoChildThatIsOlderThanItsParent) {
  EXPECT_THAT(Find({Process(10, 1, 10), Process(11, 10, 11, kStart - 1)}, Root(10)),
              ElementsAre(10));
}

TEST(ProcessTreeTest, TakesNothingThatIsOlderThanTheJob) {
  const uint64_t job = kStart + 3600 * 100;
  EXPECT_THAT(Find({Process(11, 1, 10, kStart), Process(12, 1, 10, job)}, Root(10, Nanos(job))),
              ElementsAre(12));
}

TEST(ProcessTreeTest, LeavesTheExcludedAndWhatIsBelowThemAlone) {
  const std::vector<ProcessEntry> table = {Process(10, 1, 10), Process(11, 10, 10),
                                           Process(12, 11, 12), Process(13, 10, 13)};
  EXPECT_THAT(Find(table, Root(10), {11}), UnorderedElementsAre(10, 13));
  EXPECT_THAT(Find(table, Root(10), {10}), IsEmpty());
}

TEST(ProcessTreeTest, NeverTakesThisProcessOrTheFirst) {
  ProcessEntry self = Process(0, 10, 10);
  self.pid = ::getpid();
  ProcessEntry first = Process(0, 10, 10);
  first.pid = 1;
  EXPECT_THAT(Find({Process(10, 1, 10), self, first}, Root(10)), ElementsAre(10));
}

TEST(ProcessTreeTest, CountsAZombieOnlyIfItsThreadsLive) {
  ProcessEntry zombie = Process(11, 10, 10);
  zombie.state = 'Z';
  ProcessEntry leaderless = zombie;
  leaderless.pid += 1;
  leaderless.threads = 2;
  EXPECT_THAT(Find({Process(10, 1, 10), zombie, leaderless}, Root(10)), ElementsAre(10, 12));
}

TEST(ProcessTreeTest, SurvivesACircleOfParents) {
  // Two reads of a changing table can show one.
  EXPECT_THAT(Find({Process(10, 11, 10), Process(11, 10, 11)}, Root(10)),
              UnorderedElementsAre(10, 11));
}

TEST(ProcessTreeTest, FindsNothingForARootThatIsEmpty) {
  EXPECT_THAT(FindTree(JobRoot(), {}), IsEmpty());
  EXPECT_THAT(FindTree(JobRoot{1, 1, "", "", ""}, {}), IsEmpty());
}

}  // namespace
}  // namespace brood
