// SPDX-License-Identifier: Apache-2.0
#include "agent/host/note_facts.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdint>
#include <limits>

namespace brood::testing {
namespace {

TEST(NoteFactsTest, TimesThatNoProcessCanHaveHadAreTheLeastOrTheMost) {
  Note note{};
  note.code = CLD_EXITED;
  note.flags = kHasUsage;
  note.user_us = std::numeric_limits<int64_t>::min();
  note.system_us = std::numeric_limits<int64_t>::max();
  const WaitStatus status = StatusOfNote(note);
  ASSERT_TRUE(status.usage.has_value());
  EXPECT_EQ(status.usage->user_time().seconds(), 0);
  EXPECT_EQ(status.usage->user_time().nanos(), 0);
  EXPECT_EQ(status.usage->system_time().seconds(), 9'223'372'036);
}

}  // namespace
}  // namespace brood::testing
