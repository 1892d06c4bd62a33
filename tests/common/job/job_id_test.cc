// SPDX-License-Identifier: Apache-2.0
#include "common/job/job_id.h"

#include <gtest/gtest.h>

#include <string>

namespace brood {
namespace {

TEST(JobIdTest, TakesTheGrammar) {
  for (const char* id : {"a", "7", "job-1", "A.b_c-D", "0"}) EXPECT_FALSE(ValidateJobId("id", id));
  EXPECT_FALSE(ValidateJobId("id", std::string(64, 'x')));
}

TEST(JobIdTest, RefusesWhatIsNoFileName) {
  for (const std::string& id :
       {std::string(), std::string("../etc"), std::string("."), std::string("a/b"),
        std::string("-r"), std::string("_x"), std::string("a b"), std::string("a\0b", 3),
        std::string("é"), std::string("a\n"), std::string(65, 'x')}) {
    const Status bad = ValidateJobId("jobs[0].job_id", id);
    ASSERT_TRUE(bad) << id;
    EXPECT_EQ(bad->code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(bad->field, "jobs[0].job_id");
  }
}

TEST(JobIdTest, NamesTheByteAtFaultWithoutSendingItToATerminal) {
  const Status bad = ValidateJobId("id", "a\x1b[2Jb");
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->message,
            "id: 'a\\x1b[2Jb' holds '\\x1b'; use letters, digits, '.', '_' and '-' only");
}

}  // namespace
}  // namespace brood
