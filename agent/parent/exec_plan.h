// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "agent/parent/child_setup.h"
#include "agent/parent/environment.h"
#include "brood/internal/v1/frames.pb.h"

namespace brood {

// All that a child needs to become a command: plain pointers, see ChildSetup.
struct ExecPointers {
  ChildSetup setup;
  const char* const* candidates = nullptr;  // programs to try, in order; null at the end
  char* const* argv = nullptr;
  char** shell_argv = nullptr;  // /bin/sh CANDIDATE ARG…; [1] is filled by the child
  char* const* environment = nullptr;
};

// Prepares the execution of a command: finds its program as execvp does, in the
// job's own PATH. Points into `job`, which must outlive it.
class ExecPlan {
 public:
  // `base` is the environment to start from.
  ExecPlan(const char* const* base, size_t base_size, const internal::v1::StartJob& job,
           const rlimit& files);
  ExecPlan(const ExecPlan&) = delete;
  ExecPlan& operator=(const ExecPlan&) = delete;

  // The caller sets slot and descriptors of `setup`.
  ExecPointers* pointers() { return &pointers_; }

  // "cannot execute 'x': …" for a step that failed.
  std::string Sentence(ChildStep step, int error_number) const;

 private:
  void FindCandidates();

  const internal::v1::StartJob& job_;
  JobEnvironment environment_;
  std::vector<ChildLimit> limits_;
  std::vector<const char*> groups_;
  std::vector<std::string> programs_;
  std::vector<const char*> candidates_;
  std::vector<char*> argv_;
  std::vector<char*> shell_argv_;
  ExecPointers pointers_;
};

// In the child, after SetUpChild: marks every descriptor above 2 to be closed
// and executes. Returns only if that failed, with the errno of execvp.
int ExecuteInChild(const ExecPointers& plan);

}  // namespace brood
