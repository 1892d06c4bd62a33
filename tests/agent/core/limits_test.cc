// SPDX-License-Identifier: Apache-2.0
//
// What the core makes of the limits that a job asks for.
#include <sys/resource.h>

#include <csignal>

#include "agent/core/limit_plan.h"
#include "tests/agent/core/core_fixture.h"

namespace brood {
namespace {

v1::JobSpec SpecWith(const std::vector<std::pair<std::string, uint64_t>>& limits) {
  v1::JobSpec spec;
  for (const auto& [name, value] : limits) {
    v1::ResourceLimit* const limit = spec.add_limits();
    limit->set_name(name);
    limit->set_value(value);
  }
  return spec;
}

TEST(LimitPlanTest, HoldsAWholeJobByGroupsWhereThereAreSuch) {
  StartJobEffect start;
  const v1::JobSpec spec = SpecWith({{"mem", 64 << 20}, {"procs", 9}, {"files", 64}});
  PlanLimits(spec, LimitSupport{"cgroup2", true, true, false}, &start);
  EXPECT_EQ(start.memory_bytes, 64u << 20);
  EXPECT_EQ(start.processes, 9u);
  ASSERT_EQ(start.job.limits_size(), 1);
  EXPECT_EQ(start.job.limits(0).resource(), RLIMIT_NOFILE);
}

TEST(LimitPlanTest, HoldsEachProcessWhereThereAreNone) {
  StartJobEffect start;
  const v1::JobSpec spec = SpecWith({{"mem", 64 << 20}, {"procs", 9}, {"as", 32 << 20}});
  PlanLimits(spec, LimitSupport{"", false, false, true}, &start);
  EXPECT_FALSE(start.memory_bytes || start.processes);
  ASSERT_EQ(start.job.limits_size(), 2);
  EXPECT_EQ(start.job.limits(0).resource(), RLIMIT_AS);
  EXPECT_EQ(start.job.limits(0).value(), 32u << 20) << "the smaller of the two";
  EXPECT_EQ(start.job.limits(1).resource(), RLIMIT_NPROC);
}

using CoreLimitsTest = CoreTest;

TEST_F(CoreLimitsTest, RefusesALimitThatThisHostCannotHold) {
  StartParent();
  v1::JobSubmission job;
  job.set_job_id("j");
  *job.mutable_spec() = SpecWith({{"procs", 9}});
  job.mutable_spec()->mutable_command()->add_argv("true");
  Batch batch;
  uint64_t key = 0;
  const v1::SubmittedJob answer = core_->Submit(now_, job, 7, &key, &batch);
  EXPECT_EQ(answer.error_reason(), "NO_LIMIT_HERE");
  EXPECT_EQ(key, 0u);
  EXPECT_TRUE(batch.records.empty());
}

TEST_F(CoreLimitsTest, TellsOfAReachedMemoryLimitUnlessSomebodyAskedForTheEnd) {
  StartParent();
  for (const char* const id : {"hit", "cancelled"}) {
    Submit(id);
    Started(id, 600);
    if (std::string(id) == "cancelled") Cancel(id, 10);
    ExitedFact fact;
    fact.job_key = core_->Find(id)->key;
    fact.status.signal = SIGKILL;
    fact.status.memory_limit_hit = true;
    Batch batch;
    core_->OnExited(now_, fact, &batch);
    Take(&batch);
  }
  EXPECT_EQ(core_->Find("hit")->view.message(),
            "killed by the kernel: its memory limit was reached");
  EXPECT_EQ(core_->Find("cancelled")->view.outcome(), v1::OUTCOME_CANCELLED);
}

}  // namespace
}  // namespace brood
