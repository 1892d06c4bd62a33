// SPDX-License-Identifier: Apache-2.0
//
// Parts of the parent that need no process.
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "agent/parent/cell_store.h"
#include "agent/parent/child_setup.h"
#include "agent/parent/environment.h"
#include "agent/parent/gate.h"
#include "agent/parent/job_keys.h"
#include "agent/parent/known_mutexes.h"
#include "agent/parent/limits.h"
#include "agent/parent/options.h"

namespace brood {
namespace {

constexpr int64_t kMoment = 20'000'000;

TEST(GateTest, ClosesOnlyWhenNobodyIsInside) {
  Gate gate;
  GateMark mark(&gate);
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  std::thread passing([&] {
    const Gate::Pass pass(&gate, &mark);
    inside = true;
    inside.notify_all();
    leave.wait(false);
  });
  inside.wait(false);
  EXPECT_TRUE(mark.inside());
  EXPECT_FALSE(gate.Close(kMoment));
  leave = true;
  leave.notify_all();
  passing.join();
  EXPECT_FALSE(mark.inside());
  EXPECT_TRUE(gate.Close(kMoment));
  gate.Open();
  const Gate::Pass pass(&gate, nullptr);
}

TEST(JobKeysTest, TakesEachOnce) {
  JobKeys keys;
  for (const uint64_t key : {uint64_t{1}, uint64_t{4095}, uint64_t{4096}, UINT64_MAX}) {
    EXPECT_TRUE(keys.Take(key, 1));
    EXPECT_FALSE(keys.Take(key, 1));
  }
  EXPECT_TRUE(keys.Take(2, 1));
}

TEST(JobKeysTest, TakesAnotherAttemptOfWhatItRefused) {
  JobKeys keys;
  EXPECT_TRUE(keys.Take(1, 1));
  EXPECT_FALSE(keys.Refuse(1, 2)) << "it is known";
  EXPECT_FALSE(keys.Take(1, 2));
  EXPECT_TRUE(keys.Refuse(2, 2));
  EXPECT_TRUE(keys.Refuse(2, 2)) << "whoever asks again hears the same";
  EXPECT_FALSE(keys.Take(2, 1)) << "late";
  EXPECT_TRUE(keys.Take(2, 2));
  EXPECT_FALSE(keys.Take(2, 2));
  EXPECT_FALSE(keys.Refuse(2, 3));
}

TEST(JobKeysTest, TakesNoAttemptOfAnAgentThatDiedBeforeAnotherAsked) {
  JobKeys keys;
  EXPECT_TRUE(keys.Refuse(1, 2));
  EXPECT_TRUE(keys.Refuse(1, 3));
  EXPECT_FALSE(keys.Take(1, 2)) << "its second attempt was still on its way; the third one counts";
  EXPECT_TRUE(keys.Take(1, 3));
}

TEST(ChildSetupTest, GoesNoFurtherWhereTheAgentWasFirst) {
  StartSlot slot;
  slot.claim = kRevoked;
  ChildSetup setup;
  setup.slot = &slot;
  const pid_t session = ::getsid(0);
  EXPECT_FALSE(SetUpChild(setup));
  EXPECT_EQ(slot.claim, kRevoked);
  EXPECT_EQ(slot.failed_step, 0u);
  EXPECT_EQ(::getsid(0), session);
}

TEST(ParentOptionsTest, NamesWhatIsMissingOrWrong) {
  const std::vector<const char*> good = {
      "brood-parent", "--name",    "n",    "--incarnation", "3",  "--directory",
      "/d",           "--socket",  "/s",   "--call-slots",  "16", "--library",
      "/a.so",        "--library", "/b.so"};
  const Result<ParentOptions> options =
      ParseParentOptions(static_cast<int>(good.size()), good.data());
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->incarnation, 3u);
  EXPECT_EQ(options->call_slots, 16u);
  EXPECT_EQ(options->libraries, (std::vector<std::string>{"/a.so", "/b.so"}));
  // Without the last value, then without each option in turn.
  EXPECT_EQ(ParseParentOptions(static_cast<int>(good.size()) - 1, good.data()).error().field,
            "--library");
  for (size_t at = 1; at < 11; at += 2) {
    std::vector<const char*> without = good;
    without.erase(without.begin() + static_cast<long>(at),
                  without.begin() + static_cast<long>(at) + 2);
    const Result<ParentOptions> refused =
        ParseParentOptions(static_cast<int>(without.size()), without.data());
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().field, good[at]);
  }
  for (const char* const number : {"0", "-1", "x", "1x", "99999999999999999999", ""}) {
    const char* const argv[] = {"brood-parent", "--call-slots", number};
    EXPECT_EQ(ParseParentOptions(3, argv).error().field, "--call-slots") << number;
  }
  const char* const unknown[] = {"brood-parent", "--colour", "red"};
  EXPECT_EQ(ParseParentOptions(3, unknown).error().field, "--colour");
}

TEST(JobEnvironmentTest, IsNotFooledByNamesThatBeginAlike) {
  const char* const base[] = {"PATHOLOGY=1", "PATH=/bin", "A=1", nullptr};
  internal::v1::StartJob job;
  job.mutable_environment()->add_unset("A");
  job.mutable_environment()->add_set("PATH=/usr/bin");
  JobEnvironment environment(job, 0);
  environment.Start(base);
  EXPECT_STREQ(environment.Find("PATH"), "/usr/bin");
  EXPECT_STREQ(environment.Find("PATHOLOGY"), "1");
  EXPECT_EQ(environment.Find("A"), nullptr);
  EXPECT_STREQ(environment.Find("BROOD_MODE"), "fork");
}

TEST(JobEnvironmentTest, SaysWhoseTheJobIsWhateverTheJobItselfAsks) {
  internal::v1::StartJob job;
  job.set_journal("0123456789abcdef");
  job.mutable_environment()->add_set("BROOD_JOURNAL=another");
  JobEnvironment environment(job, 0);
  environment.Start(nullptr);
  EXPECT_STREQ(environment.Find("BROOD_JOURNAL"), "0123456789abcdef");
}

TEST(KnownMutexesTest, NamesWhatIsHeldAndByWhichThread) {
  pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_t robust;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&robust, &attributes);
  KnownMutexes mutexes;
  EXPECT_EQ(mutexes.Add("robust", &robust), BROOD_OK);
  EXPECT_EQ(mutexes.Add("plain", &plain), BROOD_OK);
  EXPECT_EQ(mutexes.Add("none", nullptr), BROOD_WRONG_TYPE);
  EXPECT_TRUE(mutexes.held().empty());
  std::thread([&] {
    pthread_mutex_lock(&robust);
    pthread_mutex_lock(&plain);
    const std::vector<KnownMutexes::Held> held = mutexes.held();
    ASSERT_EQ(held.size(), 2u);
    EXPECT_EQ(held[0].name, "plain");
    EXPECT_EQ(held[0].tid, ::gettid());
    EXPECT_EQ(held[1].name, "robust");
    EXPECT_EQ(held[1].tid, ::gettid());
    pthread_mutex_unlock(&plain);
    pthread_mutex_unlock(&robust);
  }).join();
  EXPECT_TRUE(mutexes.held().empty());
  pthread_mutexattr_destroy(&attributes);
  pthread_mutex_destroy(&robust);
}

brood_value TextValue(const std::string& text) {
  brood_value value{};
  value.type = BROOD_TEXT;
  value.data = text.data();
  value.size = text.size();
  return value;
}

class CellStoreTest : public ::testing::Test {
 protected:
  Gate gate_;
  CellStore cells_{&gate_};
  CellUser user_;
};

TEST_F(CellStoreTest, KeepsAScalarWhereItIs) {
  int64_t now = 0;
  EXPECT_EQ(cells_.Add(user_, "n", 5, &now), BROOD_OK);
  EXPECT_EQ(cells_.Add(user_, "n", INT64_MAX, &now), BROOD_OK);
  EXPECT_EQ(now, INT64_MIN + 4) << "wraps around";
  internal::v1::MemoryAnswer first;
  internal::v1::MemoryAnswer second;
  const auto name = [](void*, uint64_t) { return std::string(); };
  cells_.Answer({}, name, nullptr, &first);
  EXPECT_EQ(cells_.Add(user_, "n", 1, nullptr), BROOD_OK);
  cells_.Answer({}, name, nullptr, &second);
  EXPECT_EQ(first.cells(0).address(), second.cells(0).address());
  EXPECT_EQ(second.cells(0).version(), 3u);
}

TEST_F(CellStoreTest, RefusesTheCellAfterTheLast) {
  for (size_t i = 0; i < kCellsMax; ++i) {
    ASSERT_EQ(cells_.Add(user_, ("c" + std::to_string(i)).c_str(), 1, nullptr), BROOD_OK);
  }
  EXPECT_EQ(cells_.Add(user_, "one-more", 1, nullptr), BROOD_TOO_LARGE);
  EXPECT_EQ(cells_.Add(user_, "c17", 1, nullptr), BROOD_OK);
}

TEST_F(CellStoreTest, RefusesAValueOverItsLimitAndKeepsTheOldOne) {
  const std::string large(48 * 1024 + 1, 'x');
  EXPECT_EQ(cells_.Write(user_, "t", TextValue("old")), BROOD_OK);
  EXPECT_EQ(cells_.Write(user_, "t", TextValue(large)), BROOD_TOO_LARGE);
  EXPECT_EQ(cells_.Write(user_, "new", TextValue(large)), BROOD_TOO_LARGE);
  brood_value no_type{};
  EXPECT_EQ(cells_.Write(user_, "t", no_type), BROOD_WRONG_TYPE);
  std::string keep;
  brood_value value{};
  EXPECT_EQ(cells_.Read(user_, "t", &keep, &value), BROOD_OK);
  EXPECT_EQ(keep, "old");
  EXPECT_EQ(cells_.Read(user_, "new", &keep, &value), BROOD_NO_SUCH_CELL);
}

TEST_F(CellStoreTest, UpdatesInOneStep) {
  const auto change = [](const brood_value* before, void* context) {
    EXPECT_EQ(before->type, static_cast<uint32_t>(BROOD_NULL));
    return *static_cast<const brood_value*>(context);
  };
  const std::string text = "made";
  brood_value made = TextValue(text);
  std::string keep;
  brood_value after{};
  EXPECT_EQ(cells_.Update(user_, "u", change, &made, &keep, &after), BROOD_OK);
  EXPECT_EQ(keep, "made");
  EXPECT_EQ(after.data, keep.data());
  // A part of the old value is a fine new one.
  const auto tail = [](const brood_value* before, void*) {
    brood_value part = *before;
    ++part.data;
    --part.size;
    return part;
  };
  EXPECT_EQ(cells_.Update(user_, "u", tail, nullptr, &keep, &after), BROOD_OK);
  EXPECT_EQ(keep, "ade");
  // Refused, and made all the same: nobody may see it.
  const auto wrong = [](const brood_value*, void*) { return brood_value{}; };
  EXPECT_EQ(cells_.Update(user_, "w", wrong, nullptr, &keep, nullptr), BROOD_WRONG_TYPE);
  EXPECT_EQ(cells_.Read(user_, "w", &keep, &after), BROOD_NO_SUCH_CELL);
}

TEST_F(CellStoreTest, CountsEveryAddOfEveryThread) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int n = 0; n < 1000; ++n) cells_.Add(CellUser{}, "sum", 1, nullptr);
    });
  }
  for (int n = 0; n < 100; ++n) {
    ASSERT_TRUE(gate_.Close(10'000'000'000));
    gate_.Open();
  }
  for (std::thread& thread : threads) thread.join();
  int64_t now = 0;
  EXPECT_EQ(cells_.Add(user_, "sum", 0, &now), BROOD_OK);
  EXPECT_EQ(now, 4000);
}

}  // namespace
}  // namespace brood
