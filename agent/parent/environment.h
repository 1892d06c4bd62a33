// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "brood/internal/v1/frames.pb.h"

namespace brood {

// A copy of this process's environment, to start jobs from: taken once, because
// a task may call setenv on a thread while another one is being started.
std::vector<std::string> CopyEnvironment();

// The environment of a job: `base`, changed as the job says, with BROOD_HOST,
// BROOD_JOB_ID, BROOD_RUN_ID and BROOD_MODE. Points into `base` and `job`, which
// must outlive it.
class JobEnvironment {
 public:
  JobEnvironment(const char* const* base, const internal::v1::StartJob& job);
  JobEnvironment(const JobEnvironment&) = delete;
  JobEnvironment& operator=(const JobEnvironment&) = delete;

  // NAME=VALUE pointers with a null at the end, as execve takes them.
  char** pointers() { return const_cast<char**>(pointers_.data()); }

  // The value of a name; null if it is not set.
  const char* Find(std::string_view name) const;

 private:
  void Set(const char* entry);
  void Unset(std::string_view name);
  const char** Place(std::string_view name);

  std::vector<std::string> own_;
  std::vector<const char*> pointers_;
};

}  // namespace brood
