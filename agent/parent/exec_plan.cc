// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/exec_plan.h"

#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "agent/parent/in_child.h"
#include "common/base/error.h"

namespace brood {
namespace {

// What execvp takes if PATH is not set.
constexpr char kDefaultPath[] = "/bin:/usr/bin";

}  // namespace

ExecPlan::ExecPlan(const char* const* base, size_t base_size, const internal::v1::StartJob& job,
                   const rlimit& files)
    : job_(job),
      environment_(job, base_size),
      limits_(ChildLimits(job, files)),
      groups_(ChildGroups(job)) {
  environment_.Start(base);
  static char shell[] = "/bin/sh";
  shell_argv_ = {shell, nullptr};
  for (const std::string& argument : job.argv()) {
    char* const text = const_cast<char*>(argument.c_str());
    argv_.push_back(text);
    if (argv_.size() > 1) shell_argv_.push_back(text);
  }
  argv_.push_back(nullptr);
  shell_argv_.push_back(nullptr);
  FindCandidates();

  ChildSetup& setup = pointers_.setup;
  if (!job.working_directory().empty()) setup.directory = job.working_directory().c_str();
  setup.sets_umask = job.has_umask();
  setup.umask = static_cast<mode_t>(job.umask());
  setup.limits = limits_.data();
  setup.limit_count = limits_.size();
  setup.groups = groups_.data();
  setup.group_count = groups_.size();
  pointers_.candidates = candidates_.data();
  pointers_.argv = argv_.data();
  pointers_.shell_argv = shell_argv_.data();
  pointers_.environment = environment_.pointers();
}

void ExecPlan::FindCandidates() {
  const std::string& program = job_.argv(0);
  if (program.empty() || program.find('/') != std::string::npos) {
    candidates_ = {program.c_str(), nullptr};
    return;
  }
  const char* const path = environment_.Find("PATH");
  std::string_view left = path != nullptr ? path : kDefaultPath;
  for (;;) {
    const size_t colon = left.find(':');
    const std::string_view directory = left.substr(0, colon);
    // An empty entry means the working directory.
    programs_.push_back(directory.empty() ? program : std::string(directory) + "/" + program);
    if (colon == std::string_view::npos) break;
    left.remove_prefix(colon + 1);
  }
  for (const std::string& candidate : programs_) candidates_.push_back(candidate.c_str());
  candidates_.push_back(nullptr);
}

std::string ExecPlan::Sentence(ChildStep step, int error_number) const {
  if (step != ChildStep::kExec)
    return SetupSentence(job_, "'" + job_.argv(0) + "'", step, error_number);
  std::string sentence = ErrnoError(error_number, "cannot execute '" + job_.argv(0) + "'").message;
  if (error_number == ENOENT && !programs_.empty()) {
    const char* const path = environment_.Find("PATH");
    sentence +=
        path != nullptr ? "; it is in no folder of PATH=" + std::string(path) : "; PATH is not set";
  }
  return sentence;
}

BROOD_IN_CHILD int ExecuteInChild(const ExecPointers& plan) {
  // Whatever else is open, ours or a library's, is not the command's.
  ::syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
  bool denied = false;
  int failed = ENOENT;
  for (const char* const* candidate = plan.candidates; *candidate != nullptr; ++candidate) {
    ::syscall(SYS_execve, *candidate, plan.argv, plan.environment);
    failed = errno;
    if (failed == ENOEXEC) {
      // A script without "#!": execvp hands it to the shell, and so do we.
      plan.shell_argv[1] = const_cast<char*>(*candidate);
      ::syscall(SYS_execve, plan.shell_argv[0], plan.shell_argv, plan.environment);
      return errno;
    }
    if (failed == EACCES) {
      denied = true;
    } else if (failed != ENOENT && failed != ENOTDIR && failed != ESTALE && failed != ENODEV &&
               failed != ETIMEDOUT) {
      return failed;
    }
  }
  // One that was there but may not be executed says more than the last that was not there.
  return denied ? EACCES : failed;
}

}  // namespace brood
