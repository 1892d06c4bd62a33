// SPDX-License-Identifier: Apache-2.0
//
// At every point of the list, under load, a process of brood dies, or a call fails or is short, or
// time passes: once each. Then all goes on, and the judge says whether anything was lost.
//
//   BROOD_CHAOS_SEED  of all choices (1)
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>

#include "tests/chaos/armed_file.h"
#include "tests/chaos/failpoint_list.h"
#include "tests/chaos/world.h"
#include "tests/testing/kill_by_pid.h"

namespace brood::chaos {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::KillByPid;

// A point is met within a second; a machine under load is given time.
constexpr seconds kPatience{30};
constexpr seconds kDriveAgain{2};
// So that it meets jobs in all states, and jobs meet what comes after it.
constexpr uint64_t kEventsBefore = 20;
constexpr uint64_t kEventsAfter = 30;
constexpr size_t kJobsUnderWay = 12;
// One that dies as it starts, and two to spare.
constexpr int kStarts = 3;

uint64_t Seed() {
  const char* const text = std::getenv("BROOD_CHAOS_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
}

bool Kills(const FailpointRun& run) {
  return run.action == FailAction::kKill || run.action == FailAction::kTorn;
}

bool IsOneOf(Drive drive, std::initializer_list<Drive> drives) {
  return std::find(drives.begin(), drives.end(), drive) != drives.end();
}

class FailpointsTest : public ::testing::TestWithParam<FailpointRun> {
 protected:
  // Goes on for as long as `wanted` is not so, with whatever has ended started again.
  void Until(const char* what, const std::function<bool()>& wanted) {
    const auto until = steady_clock::now() + kPatience;
    while (!wanted()) {
      ASSERT_LT(steady_clock::now(), until)
          << what << "; " << world_->load().CountEvents() << " events so far";
      KeepUp();
      if (HasFatalFailure()) return;
    }
  }

  void KeepUp() {
    if (world_->agent().AwaitEnd(10)) {
      ++agent_ends_;
      int left = kStarts;
      while (!world_->agent().TryStart()) ASSERT_GT(--left, 0) << "the agent does not come back";
    }
    if (!world_->allowed().parents_died) return;
    const v1::ParentState state = world_->FindParent(kCalls).state();
    // It may end once more, or the agent does: then it is tried again.
    if (state == v1::PARENT_STATE_UNSPECIFIED || state == v1::PARENT_STATE_ENDED)
      (void)world_->StartParent(kCalls);
  }

  void KillParent() { KillByPid(world_->FindParent(kCalls).pid()); }
  void KillSupervisor() { KillByPid(world_->agent().GetHost().supervisor_pid()); }
  void KillAgent() {
    world_->agent().Kill();
    --agent_ends_;
  }

  void DieUntold() {
    FailpointRun run;
    run.point = "start.untold";
    run.program = "brood-agent";
    run.action = FailAction::kKill;
    armed_.ArmFirst(run);
    --agent_ends_;
  }

  void DriveBy(Drive drive) {
    switch (drive) {
      case Drive::kLoad:
      case Drive::kFirstStart:
        return;
      case Drive::kAgent:
        return KillAgent();
      case Drive::kUntold:
        return DieUntold();
      case Drive::kParent:
        return KillParent();
      case Drive::kParentReturns:
        return world_->EndParent(kCalls);
      case Drive::kParentAndAgent:
        KillParent();
        if (!HasFatalFailure()) KillAgent();
        return;
      case Drive::kSupervisor:
        return KillSupervisor();
      case Drive::kSupervisorAndAgent:
        KillSupervisor();
        if (!HasFatalFailure()) KillAgent();
        return;
      case Drive::kNewParent:
        // Whether it comes is not what is asked.
        (void)world_->StartParent("another");
        return;
    }
  }

  void SetUp() override {
    const FailpointRun& run = GetParam();
    if (run.drive == Drive::kFirstStart) armed_.Arm(run, 1);
    world_ = std::make_unique<World>(Seed(), kStarts);
    if (HasFatalFailure()) return;
    const bool parents_die =
        (run.program == "brood-parent" && Kills(run)) ||
        IsOneOf(run.drive, {Drive::kParent, Drive::kParentReturns, Drive::kParentAndAgent});
    if (parents_die) world_->ExpectParentsToDie();
    world_->allowed().starts_may_fail = (run.allowed & kStartFails) != 0 ? 1 : 0;
    if ((run.allowed & kDoorShut) != 0) world_->load().ExpectRefusals();
    if ((run.allowed & kCallsRefused) != 0) world_->load().ExpectParentToDie();
    world_->allowed().output_may_be_dropped = (run.allowed & kOutputDropped) != 0;
    ASSERT_EQ(world_->StartParent(kCalls), "");
  }

  ArmedFile armed_;
  std::unique_ptr<World> world_;
  int agent_ends_ = 0;  // by itself, or at a point
};

TEST_P(FailpointsTest, LoseAndDoubleNothing) {
  const FailpointRun& run = GetParam();
  Load& load = world_->load();
  load.LimitOpen(kJobsUnderWay);
  load.Start(1, 2);
  ASSERT_TRUE(load.WaitForEvents(kEventsBefore));
  if (run.drive != Drive::kFirstStart) {
    // Under load another seed meets it at another time.
    armed_.Arm(run, run.drive == Drive::kLoad ? 1 + static_cast<int32_t>((Seed() - 1) % 5) : 1);
    DriveBy(run.drive);
    if (HasFatalFailure()) return;
  }
  auto next_drive = steady_clock::now() + kDriveAgain;
  Until("nothing came to the point", [&] {
    if (armed_.HasFired()) return true;
    // A death may find no job whose process lives.
    if (run.drive == Drive::kParentAndAgent && steady_clock::now() > next_drive) {
      DriveBy(run.drive);
      next_drive = steady_clock::now() + kDriveAgain;
    }
    return false;
  });
  if (HasFatalFailure()) return;
  const uint64_t then = load.CountEvents();
  Until("no events come after it", [&] { return load.CountEvents() >= then + kEventsAfter; });
  if (HasFatalFailure()) return;
  Until("not all jobs come to their end", [&] { return load.IsDone(); });
  world_->FinishAndJudge();
  const bool may_end =
      (run.program == "brood-agent" && Kills(run)) || (run.allowed & kAgentEnds) != 0;
  EXPECT_LE(agent_ends_, may_end ? 1 : 0) << "the agent ended by itself";
}

std::string NameOf(const ::testing::TestParamInfo<FailpointRun>& info) {
  const FailpointRun& run = info.param;
  std::string name =
      run.point + "_" + run.word + "_" + run.program.substr(run.program.find('-') + 1);
  if (run.drive == Drive::kAgent || run.drive == Drive::kSupervisorAndAgent) name += "_restarted";
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(At, FailpointsTest, ::testing::ValuesIn(AllFailpointRuns()), NameOf);

}  // namespace
}  // namespace brood::chaos
