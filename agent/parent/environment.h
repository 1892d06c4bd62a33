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

// The environment of a job: a base, changed as the job says, with BROOD_HOST,
// BROOD_JOB_ID, BROOD_RUN_ID, BROOD_JOURNAL and BROOD_MODE. Points into the base and `job`, which
// must outlive it. In two steps, so that a forked child, in which each new page
// costs a copy, allocates nothing.
class JobEnvironment {
 public:
  // Makes what is the job's own, and room for a base of `base_size`.
  JobEnvironment(const internal::v1::StartJob& job, size_t base_size);
  // Once: takes the base over.
  void Start(const char* const* base);
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

  const internal::v1::StartJob& job_;
  std::vector<std::string> own_;
  std::vector<const char*> pointers_;
};

}  // namespace brood
