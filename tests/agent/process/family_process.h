// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/process/process_tree.h"
#include "common/base/unique_fd.h"

namespace brood::testing {

// How long a test waits for what must come.
inline constexpr int kPatienceMilliseconds = 20'000;

// A program of tests/agent/process/family.cc, started as a job is: leader of its
// own session, with BROOD_JOB_ID, BROOD_HOST and BROOD_JOURNAL. Orphans of it become children of
// the test, which reaps them; whatever lives at the end is killed.
class Family {
 public:
  // Waits until so many members stand.
  Family(const std::string& job_id, const std::vector<std::string>& arguments, size_t members,
         const std::vector<std::string>& more_environment = {});
  ~Family();
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  const JobRoot& root() const { return root_; }
  pid_t leader() const { return root_.pid; }
  // As they said, in no order.
  const std::vector<pid_t>& members() const { return members_; }
  // Reaps the leader, which must end by itself or be killed.
  void ReapLeader();
  // True once no member holds our pipe any more: all have ended.
  bool AllEnded();

 private:
  JobRoot root_;
  UniqueFd said_;
  std::vector<pid_t> members_;
};

}  // namespace brood::testing
