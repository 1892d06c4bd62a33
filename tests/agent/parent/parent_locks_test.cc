// SPDX-License-Identifier: Apache-2.0
//
// A lock of a library that a fork inherits while a thread holds it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fstream>
#include <string>
#include <vector>

#include "agent/outbox/hazard_bytes.h"
#include "tests/testing/parent_driver.h"

namespace brood::testing {
namespace {

// What the process waits for in the kernel: "202 0x…" is futex with its address; "running".
std::string SystemCallOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/syscall");
  std::string number;
  file >> number;
  return number;
}

TEST(ParentLocksTest, AForkThatInheritsAHeldMutexWaitsAndOneMadeLaterDoesNot) {
  ParentDriver driver;
  ASSERT_TRUE(driver.Connect()) << driver.Log();
  const uint64_t holder = driver.Start(driver.Call("demo.mutex.hold", {Int(600)}, true));
  // It says how far it is once it has the mutex.
  ASSERT_NE(driver.Await(holder, NoteKind::kProgress), nullptr);
  const uint64_t stuck = driver.Start(driver.Call("demo.mutex.lock", {}, false));
  const SeenNote* const started = driver.Await(stuck, NoteKind::kStarted);
  ASSERT_NE(started, nullptr);
  const pid_t pid = started->note.pid;
  ASSERT_TRUE(driver.Wait([pid] { return SystemCallOf(pid) == std::to_string(SYS_futex); }));

  // The parent's own mutex is let go; the child's copy never is.
  driver.StopCall(holder);
  ASSERT_NE(driver.AwaitEnd(holder), nullptr);
  const uint64_t free = driver.Start(driver.Call("demo.mutex.lock", {}, false));
  const SeenNote* const ended = driver.AwaitEnd(free);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.code, CLD_EXITED);
  EXPECT_EQ(SystemCallOf(pid), std::to_string(SYS_futex));
  driver.SignalJob(stuck, SIGKILL, false);
  const SeenNote* const killed = driver.AwaitEnd(stuck);
  ASSERT_NE(killed, nullptr);
  EXPECT_EQ(killed->note.code, CLD_KILLED);
}

TEST(ParentLocksTest, TheHolderOfAMutexIsNamedHoweverManyThreadsThereAre) {
  ParentDriver driver;
  ASSERT_TRUE(driver.Connect()) << driver.Log();
  const uint64_t holder = driver.Start(driver.Call("demo.mutex.hold", {Int(600)}, true));
  ASSERT_NE(driver.Await(holder, NoteKind::kProgress), nullptr);
  std::vector<uint64_t> others;
  for (size_t i = 0; i < 4 * kHazardsMax; ++i) {
    others.push_back(driver.Start(driver.Call("demo.hold", {Int(600), Int(1)}, true)));
    ASSERT_NE(driver.Await(others.back(), NoteKind::kProgress), nullptr);
  }
  const uint64_t fork = driver.Start(driver.Call("demo.read", {Text("none")}, false));
  const SeenNote* const started = driver.Await(fork, NoteKind::kStarted);
  ASSERT_NE(started, nullptr);
  const std::vector<HazardNote> hazards = FromHazardBytes(started->text);
  ASSERT_EQ(hazards.size(), kHazardsMax);
  EXPECT_EQ(hazards[0].kind, HazardKind::kMutex);
  EXPECT_EQ(hazards[0].job_key, holder);
  ASSERT_NE(driver.AwaitEnd(fork), nullptr);
  driver.StopCall(holder);
  for (const uint64_t other : others) driver.StopCall(other);
  ASSERT_NE(driver.AwaitEnd(holder), nullptr);
  for (const uint64_t other : others) ASSERT_NE(driver.AwaitEnd(other), nullptr);
}

}  // namespace
}  // namespace brood::testing
