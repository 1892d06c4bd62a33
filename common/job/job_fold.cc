// SPDX-License-Identifier: Apache-2.0
#include "common/job/job_fold.h"

#include <algorithm>

#include "common/job/text.h"
#include "common/job/value.h"

namespace brood {
namespace {

void SetUnit(const v1::Event& event, v1::Job* job) {
  const v1::Unit& unit = event.unit();
  if (unit.has_pid()) job->set_pid(unit.pid());
  if (unit.has_tid()) {
    job->set_tid(unit.tid());
  } else if (unit.has_pid() && unit.mode() == v1::MODE_FORK) {
    job->set_tid(unit.pid());
  }
  if (unit.has_ppid()) job->set_ppid(unit.ppid());
  if (!unit.parent().empty()) job->set_parent(unit.parent());
  if (event.incarnations().parent() != 0) {
    job->set_parent_incarnation(event.incarnations().parent());
  }
}

void Start(const v1::Event& event, v1::Job* job) {
  job->set_state(v1::JOB_STATE_STARTING);
  job->set_mode(event.starting().mode());
  job->set_attempt(event.attempt());
  job->set_queue_position(0);
  // What an earlier attempt left behind is no longer so.
  job->clear_pid();
  job->clear_tid();
  job->clear_ppid();
  job->clear_start_time();
  job->clear_progress();
  SetUnit(event, job);
}

void SetReturned(const v1::Returned& returned, v1::Job* job) {
  job->set_outcome(v1::OUTCOME_RETURNED);
  job->set_exit_code(0);
  *job->mutable_result() = ToProtobufValue(returned.value());
}

void SetThrew(const v1::Threw& threw, v1::Job* job) {
  job->set_outcome(v1::OUTCOME_THREW);
  job->set_exit_code(1);
  job->set_message(threw.what());
}

void SetCause(v1::EndCause cause, v1::Job* job) {
  if (cause == v1::END_CAUSE_TIMED_OUT) {
    job->set_outcome(v1::OUTCOME_TIMED_OUT);
  } else if (cause == v1::END_CAUSE_CANCELLED) {
    job->set_outcome(v1::OUTCOME_CANCELLED);
  } else if (cause == v1::END_CAUSE_INHERITED_LOCK) {
    job->set_message("killed: it waited for ever for a lock that its fork inherited");
  } else if (cause == v1::END_CAUSE_OUTPUT_LIMIT) {
    job->set_message("ended: it wrote more output than its spec allows");
  } else if (cause == v1::END_CAUSE_MEMORY_LIMIT) {
    job->set_message("killed by the kernel: its memory limit was reached");
  }
}

void EndProcess(const v1::Exited& exited, v1::Job* job) {
  job->set_outcome(v1::OUTCOME_EXITED);
  if (exited.has_returned()) SetReturned(exited.returned(), job);
  if (exited.has_threw()) SetThrew(exited.threw(), job);
  if (exited.has_signal()) {
    // The call's word does not make the process's end another one.
    job->set_outcome(v1::OUTCOME_SIGNALED);
    job->set_signal(exited.signal());
    job->clear_exit_code();
    if (exited.core_dumped()) job->set_message("core dumped");
  } else if (job->outcome() == v1::OUTCOME_EXITED && exited.has_exit_code()) {
    job->set_exit_code(exited.exit_code());
  }
  SetCause(exited.cause(), job);
}

void EndThread(const v1::ThreadEnded& ended, v1::Job* job) {
  switch (ended.how_case()) {
    case v1::ThreadEnded::kReturned:
      SetReturned(ended.returned(), job);
      break;
    case v1::ThreadEnded::kThrew:
      SetThrew(ended.threw(), job);
      break;
    case v1::ThreadEnded::kCancelled:
      job->set_outcome(v1::OUTCOME_CANCELLED);
      break;
    case v1::ThreadEnded::kParentEnded: {
      job->set_outcome(v1::OUTCOME_PARENT_ENDED);
      const std::string& culprit = ended.parent_ended().culprit_job_id();
      job->set_message(culprit.empty() ? "its parent ended"
                                       : "its parent ended, crashed by job " + culprit);
      return;
    }
    case v1::ThreadEnded::HOW_NOT_SET:
      job->set_outcome(v1::OUTCOME_LOST);
      break;
  }
  SetCause(ended.cause(), job);
}

void FailStart(const v1::FailedToStart& failed, v1::Job* job) {
  job->set_outcome(v1::OUTCOME_FAILED_TO_START);
  job->set_failed_step(failed.step());
  if (failed.error_number() != 0) job->set_error_number(failed.error_number());
  job->set_message(failed.message());
  if (failed.message().empty()) {
    job->set_message(failed.step() + " failed: " + ErrnoSentence(failed.error_number()));
  }
}

void End(const v1::Event& event, v1::Job* job) {
  job->set_state(v1::JOB_STATE_ENDED);
  job->set_queue_position(0);
  *job->mutable_end_time() = event.wall();
  switch (event.payload_case()) {
    case v1::Event::kExited:
      EndProcess(event.exited(), job);
      break;
    case v1::Event::kThreadEnded:
      EndThread(event.thread_ended(), job);
      break;
    case v1::Event::kFailedToStart:
      FailStart(event.failed_to_start(), job);
      break;
    case v1::Event::kCancelled:
      job->set_outcome(v1::OUTCOME_CANCELLED);
      break;
    default:
      job->set_outcome(v1::OUTCOME_LOST);
      job->set_message(event.lost().why());
  }
}

void KeepOutput(const v1::Output& output, v1::Job* job) {
  const uint64_t end = output.offset() + output.length();
  if (output.stream() == v1::STREAM_STDERR) {
    job->set_stderr_bytes(std::max(job->stderr_bytes(), end));
  } else {
    job->set_stdout_bytes(std::max(job->stdout_bytes(), end));
  }
}

}  // namespace

bool IsEnd(const v1::Event& event) {
  return event.has_exited() || event.has_thread_ended() || event.has_failed_to_start() ||
         event.has_cancelled() || event.has_lost();
}

void FoldEvent(const v1::Event& event, v1::Job* job) {
  if (event.job_id().empty()) return;
  if (!job->job_id().empty() && job->job_id() != event.job_id()) return;
  const bool ended = job->state() == v1::JOB_STATE_ENDED;
  switch (event.payload_case()) {
    case v1::Event::kReceived:
      job->set_job_id(event.job_id());
      job->set_host(event.host());
      job->set_state(v1::JOB_STATE_QUEUED);
      *job->mutable_receive_time() = event.wall();
      if (event.received().has_spec()) *job->mutable_spec() = event.received().spec();
      if (!event.unit().parent().empty()) job->set_parent(event.unit().parent());
      break;
    case v1::Event::kQueued:
      job->set_queue_position(event.queued().position());
      break;
    case v1::Event::kStarting:
      Start(event, job);
      break;
    case v1::Event::kStarted:
      job->set_state(v1::JOB_STATE_RUNNING);
      *job->mutable_start_time() = event.wall();
      SetUnit(event, job);
      break;
    case v1::Event::kStopped:
      if (!ended) job->set_state(v1::JOB_STATE_STOPPED);
      break;
    case v1::Event::kContinued:
      if (!ended) job->set_state(v1::JOB_STATE_RUNNING);
      break;
    case v1::Event::kOutput:
      KeepOutput(event.output(), job);
      break;
    case v1::Event::kProgress:
      job->set_progress(event.progress().fraction());
      break;
    case v1::Event::kExited:
    case v1::Event::kThreadEnded:
    case v1::Event::kFailedToStart:
    case v1::Event::kCancelled:
    case v1::Event::kLost:
      if (!ended) End(event, job);
      break;
    case v1::Event::kOutputClosed:
      job->set_stdout_bytes(event.output_closed().stdout_bytes());
      job->set_stderr_bytes(event.output_closed().stderr_bytes());
      break;
    case v1::Event::kCleaned:
      job->set_cleaned(true);
      break;
    default:
      break;
  }
}

}  // namespace brood
