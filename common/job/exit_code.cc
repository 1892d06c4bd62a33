// SPDX-License-Identifier: Apache-2.0
#include "common/job/exit_code.h"

#include <cerrno>
#include <csignal>

#include "common/job/text.h"
#include "common/job/value.h"

namespace brood {
namespace {

int CancelledExitCode(const v1::Job& job) {
  if (job.has_signal()) return kExitSignalBase + job.signal();
  if (job.exit_code() != 0) return job.exit_code();
  return kExitSignalBase + SIGTERM;
}

int FailedToStartExitCode(const v1::Job& job) {
  // Only exec speaks of the program; the other steps are brood's.
  if (job.failed_step() != "exec") return kExitBroodFailed;
  return job.error_number() == ENOENT ? kExitNotFound : kExitNotExecutable;
}

// "exited 3", "terminated by SIGKILL", or nothing where no process's end is known.
std::string HowItEnded(const v1::Job& job) {
  if (job.has_signal()) {
    const std::string core = job.message() == "core dumped" ? " (core dumped)" : "";
    return "terminated by " + SignalName(job.signal()) + core;
  }
  if (job.has_exit_code()) return "exited " + std::to_string(job.exit_code());
  return "";
}

std::string WithMessage(std::string sentence, const v1::Job& job) {
  return job.message().empty() ? sentence : sentence + ": " + job.message();
}

std::string FailedToStartSentence(const v1::Job& job) {
  if (job.failed_step() == "exec" && job.spec().command().argv_size() > 0) {
    return "exec of " + Quoted(job.spec().command().argv(0)) +
           " failed: " + ErrnoSentence(job.error_number());
  }
  return WithMessage("could not be started", job);
}

std::string InBrackets(std::string sentence, const v1::Job& job) {
  const std::string how = HowItEnded(job);
  return how.empty() ? sentence : sentence + " (" + how + ")";
}

}  // namespace

int RunExitCode(const v1::Job& job) {
  switch (job.outcome()) {
    case v1::OUTCOME_EXITED:
      return job.has_exit_code() ? job.exit_code() : kExitBroodFailed;
    case v1::OUTCOME_SIGNALED:
      return kExitSignalBase + job.signal();
    case v1::OUTCOME_RETURNED:
      return 0;
    case v1::OUTCOME_THREW:
      return 1;
    case v1::OUTCOME_TIMED_OUT:
      return kExitTimedOut;
    case v1::OUTCOME_CANCELLED:
      return CancelledExitCode(job);
    case v1::OUTCOME_FAILED_TO_START:
      return FailedToStartExitCode(job);
    default:
      return kExitBroodFailed;
  }
}

std::string OutcomeSentence(const v1::Job& job) {
  switch (job.outcome()) {
    case v1::OUTCOME_EXITED:
      return job.has_exit_code() ? HowItEnded(job) : "ended, its exit status is unknown";
    case v1::OUTCOME_SIGNALED:
      return HowItEnded(job);
    case v1::OUTCOME_RETURNED:
      return "returned";
    case v1::OUTCOME_THREW:
      return WithMessage("threw", job);
    case v1::OUTCOME_TIMED_OUT:
      return InBrackets("timed out", job);
    case v1::OUTCOME_CANCELLED:
      return job.has_start_time() ? InBrackets("cancelled", job) : "cancelled before it started";
    case v1::OUTCOME_PARENT_ENDED:
      return job.message().empty() ? "its parent ended" : job.message();
    case v1::OUTCOME_FAILED_TO_START:
      return FailedToStartSentence(job);
    case v1::OUTCOME_LOST:
      return WithMessage("lost", job);
    default:
      return "has not ended";
  }
}

}  // namespace brood
