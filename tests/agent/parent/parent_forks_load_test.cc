// SPDX-License-Identifier: Apache-2.0
//
// Very many forks of a parent whose other threads allocate again and again, so that most forks meet
// one in the allocator.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "agent/outbox/value_bytes.h"
#include "tests/testing/parent_driver.h"

namespace brood::testing {
namespace {

#if defined(__has_feature)
#define BROOD_HAS(feature) __has_feature(feature)
#else
#define BROOD_HAS(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    BROOD_HAS(address_sanitizer) || BROOD_HAS(thread_sanitizer)
constexpr bool kForksInheritLocks = true;
#else
constexpr bool kForksInheritLocks = false;
#endif
constexpr uint64_t kForks = 10'000;
constexpr int kThreads = 16;
// Live at once: enough that the parent need not wait, and few beside it for the CPUs.
constexpr uint64_t kWindow = 16;
constexpr uint64_t kFirstFork = 1'000;

class ParentForksLoadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kForksInheritLocks)
      GTEST_SKIP() << "a sanitizer's own locks are not held for a fork: a child waits for ever";
    ASSERT_TRUE(driver_.Connect()) << driver_.Log();
    // Jobs that print nothing have nothing to be read.
    driver_.set_reads_output(false);
  }

  void StartForks(uint64_t first, uint64_t count) {
    internal::v1::ToParent frame;
    for (uint64_t key = first; key < first + count; ++key) {
      internal::v1::StartJob* const job = frame.mutable_start()->add_jobs();
      *job = driver_.Call("test.allocate", {Int(static_cast<int64_t>(key))}, false);
      job->set_job_key(key);
      job->set_attempt(1);
    }
    driver_.Send(frame);
  }

  // Takes the ends that were noted since the last call, judges and drains them; how many there
  // were.
  uint64_t TakeEnds() {
    internal::v1::ToParent frame;
    const SlotReader slots = driver_.Slots();
    for (; seen_ < driver_.notes().size(); ++seen_) {
      const Note& note = driver_.notes()[seen_].note;
      if (note.job_key < kFirstFork || note.kind == NoteKind::kStarted) continue;
      frame.add_drained(note.job_key);
      EXPECT_EQ(note.kind, NoteKind::kExited) << driver_.notes()[seen_].text;
      EXPECT_EQ(note.code, CLD_EXITED);
      CallArea area;
      std::string bytes;
      int64_t number = -1;
      EXPECT_TRUE(slots.ReadArea(note.slot, &area) && area.job_key == note.job_key &&
                  area.result == kCallReturned && slots.ReadValue(note.slot, area, &bytes) &&
                  ReadInt(bytes, &number));
      EXPECT_EQ(number, static_cast<int64_t>(note.job_key));
      driver_.outputs().erase(note.job_key);
    }
    if (frame.drained_size() > 0) driver_.Send(frame);
    return static_cast<uint64_t>(frame.drained_size());
  }

  ParentDriver driver_{ParentDriverOptions{kWindow, {TEST_TASKS}, {}, ""}};
  size_t seen_ = 0;
};

TEST_F(ParentForksLoadTest, NoneOfVeryManyForksBesideAllocatingThreadsHangsOrIsWrong) {
  std::vector<uint64_t> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.push_back(driver_.Start(driver_.Call("test.churn", {}, true)));
  for (const uint64_t thread : threads)
    ASSERT_NE(driver_.Await(thread, NoteKind::kProgress), nullptr) << "it does not run";

  const char* const asked = std::getenv("BROOD_LOAD_FORKS");
  const uint64_t forks = asked != nullptr ? std::strtoull(asked, nullptr, 10) : kForks;
  uint64_t started = 0;
  uint64_t ended = 0;
  while (ended < forks) {
    const uint64_t more = std::min(forks - started, kWindow - (started - ended));
    if (more > 0) StartForks(kFirstFork + started, more);
    started += more;
    ASSERT_TRUE(driver_.Wait([&] {
      const uint64_t now = TakeEnds();
      ended += now;
      return now > 0;
    })) << "after "
        << ended << " forks one hangs";
    if (HasFailure()) break;
  }
  for (const uint64_t thread : threads) driver_.StopCall(thread);
  for (const uint64_t thread : threads) {
    const SeenNote* const end = driver_.AwaitEnd(thread);
    ASSERT_NE(end, nullptr);
    EXPECT_EQ(end->note.kind, NoteKind::kStopHonoured);
  }
}

}  // namespace
}  // namespace brood::testing
