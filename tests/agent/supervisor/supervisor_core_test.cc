// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/supervisor_core.h"

#include <cerrno>
#include <string>

#include "common/base/protocol.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

class SupervisorCoreTest : public ::testing::Test {
 protected:
  // The one effect of that kind; the test fails if there is none or another.
  template <typename Effect>
  Effect Only(const SupervisorInput& input) {
    const auto effects = core_.Step(input);
    EXPECT_EQ(effects.size(), 1u);
    for (const SupervisorEffect& effect : effects) {
      if (const Effect* const found = std::get_if<Effect>(&effect)) return *found;
    }
    ADD_FAILURE() << "not the effect that was expected";
    return Effect();
  }
  void Nothing(const SupervisorInput& input) { EXPECT_TRUE(core_.Step(input).empty()); }

  void Meet(ConnectionId connection = 1, uint64_t incarnation = 5) {
    Only<Welcome>(HelloArrived{connection, kProtocolVersion, incarnation});
  }
  static ParentRequest Request(const std::string& name, uint64_t incarnation) {
    ParentRequest request;
    request.name = name;
    request.incarnation = incarnation;
    request.directory = "/d";
    request.socket_path = "/s";
    return request;
  }
  void Run(const std::string& name, uint64_t incarnation, int32_t pid) {
    Only<LaunchParent>(StartArrived{1, Request(name, incarnation)});
    Nothing(ParentLaunched{RunningParent{name, incarnation, pid, "/d", "/s"}});
  }

  SupervisorCore core_;
};

TEST_F(SupervisorCoreTest, WelcomesAnAgentWithTheParentsAlive) {
  Meet();
  Run("default", 1, 100);
  Run("other", 1, 101);
  Only<NoteEnd>(ChildEnded{100});
  Nothing(ChildReaped{100});
  Nothing(ConnectionLost{1});
  const auto welcome = Only<Welcome>(HelloArrived{2, kProtocolVersion, 6});
  ASSERT_EQ(welcome.parents.size(), 1u);
  EXPECT_EQ(welcome.parents[0].name, "other");
  EXPECT_EQ(welcome.parents[0].pid, 101);
}

TEST_F(SupervisorCoreTest, SaysItsProtocolToAnAgentOfAnotherOneAndDropsIt) {
  const auto drop = Only<Drop>(HelloArrived{1, kProtocolVersion + 1, 5});
  EXPECT_TRUE(drop.with_hello);
  // That agent's incarnation fences nobody.
  Meet(2, 4);
}

TEST_F(SupervisorCoreTest, FencesTheOlderAgentOffWhenANewerOneComes) {
  Meet(1, 5);
  const auto effects = core_.Step(HelloArrived{2, kProtocolVersion, 6});
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_EQ(std::get<Drop>(effects[0]).connection, 1u);
  EXPECT_EQ(std::get<Welcome>(effects[1]).connection, 2u);
  EXPECT_EQ(Only<Drop>(StartArrived{1, Request("p", 1)}).connection, 1u);
}

TEST_F(SupervisorCoreTest, RefusesAnOlderAgentEvenWhenTheNewerOneIsGone) {
  Meet(1, 6);
  Nothing(ConnectionLost{1});
  EXPECT_EQ(Only<Drop>(HelloArrived{2, kProtocolVersion, 5}).connection, 2u);
}

TEST_F(SupervisorCoreTest, TakesTheSameAgentAgainOnANewConnection) {
  Meet(1, 5);
  const auto effects = core_.Step(HelloArrived{2, kProtocolVersion, 5});
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_EQ(std::get<Drop>(effects[0]).connection, 1u);
}

TEST_F(SupervisorCoreTest, AnswersASecondHelloOnTheSameConnection) {
  Meet(1, 5);
  Meet(1, 5);
}

TEST_F(SupervisorCoreTest, ObeysNobodyBeforeHello) {
  EXPECT_EQ(Only<Drop>(StartArrived{9, Request("p", 1)}).connection, 9u);
  EXPECT_EQ(Only<Drop>(KillArrived{9, "p", 1}).connection, 9u);
  EXPECT_EQ(Only<Drop>(StopArrived{9}).connection, 9u);
  Meet();
  Run("p", 1, 100);  // It was not stopped.
}

TEST_F(SupervisorCoreTest, DoesNothingAboutAParentThatLivesAlready) {
  Meet();
  Run("p", 1, 100);
  // By an agent whose predecessor did not live to hear of it. To refuse would be to deny that it
  // runs.
  EXPECT_TRUE(core_.Step(StartArrived{1, Request("p", 1)}).empty());
  Run("p", 2, 101);  // Its next life may overlap: a parent may end by thread-exit.
}

TEST_F(SupervisorCoreTest, RefusesARequestWithoutANameOrAFolder) {
  Meet();
  for (auto empty :
       {&ParentRequest::name, &ParentRequest::directory, &ParentRequest::socket_path}) {
    ParentRequest request = Request("p", 1);
    request.*empty = "";
    EXPECT_EQ(Only<RefuseParent>(StartArrived{1, request}).error_number, EINVAL);
  }
}

TEST_F(SupervisorCoreTest, RefusesMoreParentsThanItsLimit) {
  Meet();
  for (size_t i = 0; i < kParentsAliveMax; ++i) {
    Run(std::string("p").append(std::to_string(i)), 1, static_cast<int32_t>(1000 + i));
  }
  EXPECT_EQ(Only<RefuseParent>(StartArrived{1, Request("more", 1)}).step, "limit");
  Only<NoteEnd>(ChildEnded{1000});
  Nothing(ChildReaped{1000});
  Run("more", 1, 1000);
}

TEST_F(SupervisorCoreTest, KillsOnlyThatIncarnationAndOnlyUntilItIsReaped) {
  Meet();
  Run("p", 2, 100);
  Nothing(KillArrived{1, "p", 1});
  Nothing(KillArrived{1, "q", 2});
  EXPECT_EQ(Only<KillChild>(KillArrived{1, "p", 2}).pid, 100);
  Only<NoteEnd>(ChildEnded{100});
  Nothing(ChildReaped{100});
  Nothing(KillArrived{1, "p", 2});
}

TEST_F(SupervisorCoreTest, TellsParentsFromOrphansByPid) {
  Meet();
  Run("p", 7, 100);
  const auto parent = Only<NoteEnd>(ChildEnded{100});
  EXPECT_EQ(parent.name, "p");
  EXPECT_EQ(parent.incarnation, 7u);
  Nothing(ChildReaped{100});
  // The number again: an orphan now.
  EXPECT_EQ(Only<NoteEnd>(ChildEnded{100}).name, "");
}

TEST_F(SupervisorCoreTest, EndsAtOnceWhenStoppedWithNoParent) {
  Meet();
  Only<End>(StopArrived{1});
}

TEST_F(SupervisorCoreTest, EndsWhenStoppedOnceTheLastParentIsReaped) {
  Meet();
  Run("p", 1, 100);
  Run("q", 1, 101);
  Nothing(StopArrived{1});
  EXPECT_EQ(Only<RefuseParent>(StartArrived{1, Request("r", 1)}).step, "stopping");
  Only<NoteEnd>(ChildEnded{100});
  Nothing(ChildReaped{100});
  Only<NoteEnd>(ChildEnded{555});  // an orphan: no concern
  Nothing(ChildReaped{555});
  Only<NoteEnd>(ChildEnded{101});
  Only<End>(ChildReaped{101});
}

TEST_F(SupervisorCoreTest, ASignalStopsItWithoutAnyAgent) { Only<End>(StopArrived{0}); }

}  // namespace
}  // namespace brood
