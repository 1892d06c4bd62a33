// SPDX-License-Identifier: Apache-2.0
#include "common/job/resource_limits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace brood {
namespace {

v1::JobSpec SpecWith(const std::string& name, uint64_t value = 1 << 20) {
  v1::JobSpec spec;
  spec.add_limits()->set_name(name);
  spec.mutable_limits(0)->set_value(value);
  return spec;
}

TEST(ResourceLimitsTest, ReadsNumbersSizesAndTimes) {
  const auto value = [](const char* text) {
    const Result<v1::ResourceLimit> limit = ParseLimit(text, "--limit");
    return limit ? limit->name() + " " + std::to_string(limit->value()) : limit.error().message;
  };
  EXPECT_EQ(value("nofile=256"), "nofile 256");
  EXPECT_EQ(value("files=64"), "files 64");
  EXPECT_EQ(value("mem=1048576"), "mem 1048576");
  EXPECT_EQ(value("mem=512M"), "mem 536870912");
  EXPECT_EQ(value("mem=512MiB"), "mem 536870912");
  EXPECT_EQ(value("fsize=1GiB"), "fsize 1073741824");
  EXPECT_EQ(value("core=0"), "core 0");
  EXPECT_EQ(value("stack=8K"), "stack 8192");
  EXPECT_EQ(value("cpu=90"), "cpu 90");
  EXPECT_EQ(value("cpu=90s"), "cpu 90");
  EXPECT_EQ(value("cpu=2m"), "cpu 120");
}

TEST(ResourceLimitsTest, RefusesWhatIsNoSuchNumber) {
  for (const char* const text :
       {"nofile", "=5", "nofile=", "nofile=4K", "nofile=-1", "mem=12Q", "mem=1MX", "mem=M",
        "mem=99999999999T", "mem=18446744073709551616", "cpu=1.5s", "cpu=300ms", "cpu=soon"}) {
    const Result<v1::ResourceLimit> limit = ParseLimit(text, "--limit");
    ASSERT_FALSE(limit.ok()) << text;
    EXPECT_EQ(limit.error().field, "--limit") << text;
  }
}

TEST(ResourceLimitsTest, RefusesTwoNamesOfOneLimitAndLimitsThatNothingCanKeep) {
  v1::JobSpec spec = SpecWith("files");
  spec.add_limits()->set_name("nofile");
  EXPECT_EQ(CheckLimits(spec)->field, "spec.limits[1].name");
  EXPECT_EQ(CheckLimits(SpecWith("mem", (1 << 20) - 1))->field, "spec.limits[0].value");
  EXPECT_EQ(CheckLimits(SpecWith("procs", 0))->field, "spec.limits[0].value");
  EXPECT_FALSE(CheckLimits(SpecWith("mem")));
}

TEST(ResourceLimitsTest, RefusesWhatNoProgramStartsWithAndNamesTheLeast) {
  const std::pair<const char*, uint64_t> least[] = {
      {"cpu", 1},      {"files", 4}, {"nofile", 4},       {"stack", 16 << 10},
      {"as", 1 << 20}, {"procs", 1}, {"data", 128 << 10}, {"mem", 1 << 20}};
  for (const auto& [name, value] : least) {
    EXPECT_FALSE(CheckLimits(SpecWith(name, value))) << name;
    const Status refused = CheckLimits(SpecWith(name, value - 1));
    ASSERT_TRUE(refused) << name;
    EXPECT_EQ(refused->message,
              "spec.limits[0].value: " + std::to_string(value - 1) + " is too little of '" + name +
                  "' for any program to start; give at least " + std::to_string(value));
  }
  for (const char* const name : {"core", "fsize", "memlock", "nproc", "rss"})
    EXPECT_FALSE(CheckLimits(SpecWith(name, 0))) << name;
}

TEST(ResourceLimitsTest, SaysWhatAHostCannotHoldAndWhatItHoldsOtherwise) {
  const LimitSupport groups{"cgroup1", true, true, false};
  const LimitSupport user{"", false, false, true};
  const LimitSupport root{"", false, false, false};
  EXPECT_FALSE(CheckLimitsHere(SpecWith("procs"), groups, "n1"));
  EXPECT_FALSE(CheckLimitsHere(SpecWith("procs"), user, "n1"));
  const Status refused = CheckLimitsHere(SpecWith("procs"), root, "n1");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(refused->field, "spec.limits[0].name");
  EXPECT_FALSE(CheckLimitsHere(SpecWith("mem"), root, "n1"));
  EXPECT_EQ(SayLimitsHere(SpecWith("mem"), groups), "");
  EXPECT_NE(SayLimitsHere(SpecWith("mem"), root), "");
  EXPECT_NE(SayLimitsHere(SpecWith("procs"), user), "");
  EXPECT_EQ(SayLimitsHere(SpecWith("nofile"), root), "");
  const auto has = [](const LimitSupport& support, std::string_view name) {
    const std::vector<std::string_view> names = LimitNamesHere(support);
    EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
    return std::count(names.begin(), names.end(), name) == 1;
  };
  EXPECT_TRUE(has(root, "mem"));
  EXPECT_FALSE(has(root, "procs"));
  EXPECT_TRUE(has(user, "procs"));
}

}  // namespace
}  // namespace brood
