// SPDX-License-Identifier: Apache-2.0
#include "agent/host/tree_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <vector>

namespace brood {
namespace {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BROOD_SEEN_BY_SANITIZER 1
#endif
#endif

TEST(TreeThreadTest, BoundsTheLooksThatWaitAndEndsTreesBeforeThem) {
#ifdef BROOD_SEEN_BY_SANITIZER
  GTEST_SKIP() << "ThreadSanitizer does not see the locks of an Abseil built without it";
#endif
  std::promise<void> entered;
  std::promise<void> gate;
  std::promise<int> looks_before_the_tree;
  std::promise<void> all;
  std::atomic<int> looks{0};
  TreeThread trees(
      "host", "journal", [] { return std::vector<int>(); },
      [&](uint64_t, const std::vector<v1::Unit>&) { looks_before_the_tree.set_value(looks); });
  ASSERT_TRUE(trees.AddLook([&] {
    entered.set_value();
    gate.get_future().wait();
  }));
  entered.get_future().wait();
  for (size_t i = 0; i < kLooksMax; ++i) {
    EXPECT_TRUE(trees.AddLook([&] {
      if (++looks == static_cast<int>(kLooksMax)) all.set_value();
    }));
  }
  EXPECT_FALSE(trees.AddLook([] {}));
  TreeEffect tree;
  tree.job_id = "no process has this id";
  trees.Add(tree);
  gate.set_value();
  EXPECT_EQ(looks_before_the_tree.get_future().get(), 0);
  all.get_future().wait();
}

}  // namespace
}  // namespace brood
