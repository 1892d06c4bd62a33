// SPDX-License-Identifier: Apache-2.0
#include "common/job/mode_choice.h"

#include <gtest/gtest.h>

namespace brood {
namespace {

v1::JobSpec Call() {
  v1::JobSpec spec;
  spec.mutable_call()->set_task("demo.add");
  return spec;
}

constexpr TaskTraits kNone{};
constexpr TaskTraits kIsolated{true, false};
constexpr TaskTraits kSharing{false, true};
constexpr TaskTraits kBoth{true, true};

TEST(ModeChoiceTest, AnExplicitModeIsTakenWhateverTheTaskDeclares) {
  v1::JobSpec spec = Call();
  spec.set_mode(v1::MODE_THREAD);
  EXPECT_EQ(ChooseMode(spec, kIsolated, true, v1::MODE_FORK).mode, v1::MODE_THREAD);
  spec.set_mode(v1::MODE_FORK);
  const ModeChoice choice = ChooseMode(spec, kSharing, false, v1::MODE_THREAD);
  EXPECT_EQ(choice.mode, v1::MODE_FORK);
  EXPECT_EQ(choice.reason, "asked for");
}

TEST(ModeChoiceTest, ACommandIsForked) {
  v1::JobSpec spec;
  spec.mutable_command()->add_argv("true");
  const ModeChoice choice = ChooseMode(spec, kNone, false, v1::MODE_THREAD);
  EXPECT_EQ(choice.mode, v1::MODE_FORK);
  EXPECT_EQ(choice.reason, "a command is a program of its own");
}

TEST(ModeChoiceTest, WhatOnlyAProcessCanHaveIsForked) {
  const auto reason = [](const v1::JobSpec& spec) {
    const ModeChoice choice = ChooseMode(spec, kSharing, false, v1::MODE_THREAD);
    EXPECT_EQ(choice.mode, v1::MODE_FORK);
    return choice.reason;
  };
  v1::JobSpec spec = Call();
  spec.add_limits()->set_name("cpu");
  EXPECT_EQ(reason(spec), "only a process can have a resource limit of its own");
  spec = Call();
  spec.set_umask(0);
  EXPECT_EQ(reason(spec), "only a process can have a umask of its own");
  spec = Call();
  spec.set_working_directory("/");
  EXPECT_EQ(reason(spec), "only a process can have a working directory of its own");
  spec = Call();
  spec.mutable_environment()->set_clear(true);
  EXPECT_EQ(reason(spec), "only a process can have an environment of its own");
  spec = Call();
  spec.set_stdin_stream(true);
  EXPECT_EQ(reason(spec), "only a process can have a standard input of its own");
}

TEST(ModeChoiceTest, AnEmptyEnvironmentAsksForNothing) {
  v1::JobSpec spec = Call();
  spec.mutable_environment();
  EXPECT_EQ(ChooseMode(spec, kSharing, false, v1::MODE_FORK).mode, v1::MODE_THREAD);
}

TEST(ModeChoiceTest, ATaskThatDeclaresIsolationIsForkedAlsoIfItSharesMemory) {
  EXPECT_EQ(ChooseMode(Call(), kBoth, false, v1::MODE_THREAD).reason,
            "the task asks for a process of its own");
}

TEST(ModeChoiceTest, ATaskThatSharesMemoryIsAThreadAlsoAfterACrash) {
  const ModeChoice choice = ChooseMode(Call(), kSharing, true, v1::MODE_FORK);
  EXPECT_EQ(choice.mode, v1::MODE_THREAD);
  EXPECT_EQ(choice.reason, "the task is made to share the parent's memory");
}

TEST(ModeChoiceTest, ALibraryThatCrashedItsParentIsForked) {
  const ModeChoice choice = ChooseMode(Call(), kNone, true, v1::MODE_THREAD);
  EXPECT_EQ(choice.mode, v1::MODE_FORK);
  EXPECT_EQ(choice.reason, "a task of this library has crashed its parent before");
}

TEST(ModeChoiceTest, ElseTheAgentsDefaultDecides) {
  EXPECT_EQ(ChooseMode(Call(), kNone, false, v1::MODE_THREAD).mode, v1::MODE_THREAD);
  EXPECT_EQ(ChooseMode(Call(), kNone, false, v1::MODE_FORK).mode, v1::MODE_FORK);
  EXPECT_EQ(ChooseMode(Call(), kNone, false, v1::MODE_UNSPECIFIED).mode, v1::MODE_FORK);
}

}  // namespace
}  // namespace brood
