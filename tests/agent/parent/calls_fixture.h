// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "agent/outbox/value_bytes.h"
#include "tests/testing/parent_driver.h"

namespace brood::testing {

inline constexpr bool kThread = true;
inline constexpr bool kFork = false;

// What a call came to, however it ran.
struct CallEnd {
  bool returned = false;
  bool threw = false;
  uint32_t kind = 0;
  std::string bytes;
};

// A parent with the test tasks, and calls awaited.
class CallsFixture : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(driver_.Connect()) << driver_.Log(); }

  uint64_t Start(const std::string& task, std::vector<internal::v1::Value> arguments, bool thread) {
    return driver_.Start(driver_.Call("test." + task, std::move(arguments), thread));
  }

  // From the end's note (thread) or the call area (fork).
  CallEnd ResultOf(uint64_t job) {
    CallEnd result;
    const SeenNote* const ended = driver_.AwaitEnd(job);
    if (ended == nullptr) return result;
    if (ended->note.kind != NoteKind::kExited) {
      result.returned = ended->note.kind == NoteKind::kReturned;
      result.threw = ended->note.kind == NoteKind::kThrew;
      result.kind = ended->note.value_kind;
      result.bytes = ended->text;
      return result;
    }
    CallArea area;
    const SlotReader slots = driver_.Slots();
    if (!slots.ReadArea(ended->note.slot, &area) || area.job_key != job) return result;
    EXPECT_TRUE(slots.ReadValue(ended->note.slot, area, &result.bytes));
    result.returned = area.result == kCallReturned;
    result.threw = area.result == kCallThrew;
    result.kind = area.value_kind;
    return result;
  }

  CallEnd Run(const std::string& task, std::vector<internal::v1::Value> arguments, bool thread) {
    return ResultOf(Start(task, std::move(arguments), thread));
  }

  int64_t RunForInt(const std::string& task, std::vector<internal::v1::Value> arguments,
                    bool thread) {
    const CallEnd result = Run(task, std::move(arguments), thread);
    int64_t number = -1;
    EXPECT_TRUE(result.returned) << result.bytes;
    EXPECT_TRUE(ReadInt(result.bytes, &number));
    return number;
  }

  ParentDriver driver_{ParentDriverOptions{8, {TEST_TASKS}, {}, ""}};
};

}  // namespace brood::testing
