// SPDX-License-Identifier: Apache-2.0
//
// How a run is looked at and broken off: signals, a closed output, the terminal.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "common/base/clock.h"
#include "common/job/duration.h"
#include "common/job/exit_code.h"
#include "common/job/limits.h"
#include "common/job/text.h"
#include "controller/cli/run_session.h"

namespace brood::cli {
namespace {

// More would push what was printed off the screen.
constexpr size_t kShownMax = 10;

std::string StateOf(const v1::Job& job) {
  switch (job.state()) {
    case v1::JOB_STATE_QUEUED:
      return job.queue_position() == 0 ? "waits"
                                       : "waits, number " + std::to_string(job.queue_position());
    case v1::JOB_STATE_STARTING:
      return "starts";
    case v1::JOB_STATE_RUNNING:
      return "runs, pid " + std::to_string(job.pid());
    case v1::JOB_STATE_STOPPED:
      return "is stopped, pid " + std::to_string(job.pid());
    case v1::JOB_STATE_ENDED:
      return "has ended; its output is being read";
    default:
      return "is on its way to the host";
  }
}

std::string Percent(const v1::Job& job) {
  return std::to_string(static_cast<int>(job.progress() * 100)) + " %";
}

}  // namespace

void RunSession::OnSignal(int signal) {
  if (signal == SIGINT) {
    OnInterrupt();
  } else if (cancelled_) {
    Leave();
  } else {
    Cancel(signal);
  }
}

void RunSession::OnInterrupt() {
  switch (interrupts_.OnInterrupt(BootTime{BootTimeNanos()})) {
    case Interrupts::Step::kShow:
      ShowState();
      printer_.Note("Ctrl-C again within 2 s cancels");
      break;
    case Interrupts::Step::kCancel:
      if (context_.err_is_terminal) {
        printer_.Note("cancelling; another Ctrl-C leaves the jobs to themselves");
      }
      Cancel(SIGINT);
      break;
    case Interrupts::Step::kLeave:
      Leave();
      break;
  }
}

void RunSession::OnOutputFailed(int fd, int error_number) {
  // What cannot be said on stderr is not said; the run goes on.
  if (fd != context_.out_fd) return;
  output_lost_ = true;
  if (error_number == EPIPE) {
    OnOutputClosed();
    return;
  }
  printer_.Note("cannot write to standard output: " + ErrnoSentence(error_number));
  end_.exit_code = kExitBroodFailed;
  Cancel(0);
}

void RunSession::OnOutputClosed() {
  if (std::exchange(watching_output_, false)) loop_.Remove(context_.out_fd);
  if (cancelled_) return;
  // As with any program whose reader has gone, there is nothing to say about it.
  printer_.BeQuiet();
  Cancel(SIGPIPE);
  // Nobody reads any more: not worth the whole grace of a job that ignores SIGTERM.
  loop_.At(BootTime{BootTimeNanos() + kUnseenEndNanos}, [this] { Leave(); });
}

RunSession::End RunSession::FinalEnd() const {
  End end = end_;
  // The reader left when all was said and done: nothing was lost, nothing cut short.
  if (end.signal == SIGPIPE && !output_lost_ && !left_ && cancelled_jobs_ == 0) end.signal = 0;
  return end;
}

// Asks for the end of all jobs; brood then ends by `signal`, if one is given.
void RunSession::Cancel(int signal) {
  if (std::exchange(cancelled_, true)) return;
  end_.signal = signal;
  interrupts_.OnCancelled();
  const v1::JobSpec& spec = builder_.spec();
  const int64_t grace =
      spec.has_kill_grace() ? spec.kill_grace().seconds() : kKillGraceSecondsDefault;
  loop_.At(BootTime{BootTimeNanos() + (grace + 1) * 1'000'000'000 + kAfterGraceNanos},
           [this] { Leave(); });
  loop_.At(BootTime{BootTimeNanos() + kUnansweredNanos}, [this] { LeaveIfUnanswered(); });
  if (feed_) feed_->Stop();
  for (size_t i = 0; i < hosts_.size(); ++i) {
    std::vector<std::string> ids;
    for (const auto& [id, job] : hosts_[i].jobs) {
      if (job.accepted) ids.push_back(id);
    }
    if (!ids.empty()) fan_out_.Cancel(i, ids);
    // What is on its way is cancelled when it is answered.
  }
  FillFeed();
  LeaveOutRest();
}

// Breaks the calls off; the jobs are left to their agents.
void RunSession::Leave() {
  if (std::exchange(left_, true)) return;
  std::string ids;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    for (const auto& [id, job] : hosts_[i].jobs) {
      ids += "\n  " + names_[i] + "/" + id;
      if (!job.accepted) ids += " (the host has not answered; it may never have got it)";
    }
  }
  printer_.ReleaseNotes();
  if (!ids.empty()) {
    printer_.Note("left to themselves:" + ids);
    // Nobody knows how they will end.
    end_.exit_code = kExitBroodFailed;
  }
  fan_out_.BreakOff();
}

// No job is left that could still end, only hosts that say nothing.
void RunSession::LeaveIfUnanswered() {
  for (const Host& host : hosts_) {
    for (const auto& [id, job] : host.jobs) {
      if (job.accepted) {
        loop_.At(BootTime{BootTimeNanos() + kUnansweredNanos}, [this] { LeaveIfUnanswered(); });
        return;
      }
    }
  }
  Leave();
}

void RunSession::ShowState() {
  size_t live = 0;
  std::string lines;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    for (const auto& [id, job] : hosts_[i].jobs) {
      if (++live > kShownMax) continue;
      lines += "\n  " + names_[i] + "/" + id + " " + StateOf(job.job);
      if (job.job.has_progress()) lines += ", " + Percent(job.job);
    }
  }
  if (live > kShownMax) lines += "\n  and " + std::to_string(live - kShownMax) + " more";
  const size_t not_started = hosts_.size() - next_host_;
  const std::string rest =
      not_started > 0 ? ", " + std::to_string(not_started) + " not started," : "";
  printer_.Note(std::to_string(ended_jobs_) + " ended, " + std::to_string(live) + " under way" +
                rest + " for " + DurationText(BootTimeNanos() - started_.ns) + lines);
}

void RunSession::ShowProgress() {
  if (finished_ || left_) return;
  size_t running = 0;
  size_t waiting = hosts_.size() - next_host_;
  const v1::Job* only = nullptr;
  for (const Host& host : hosts_) {
    for (const auto& [id, job] : host.jobs) {
      only = &job.job;
      const v1::JobState state = job.job.state();
      const bool started = state == v1::JOB_STATE_RUNNING || state == v1::JOB_STATE_STOPPED ||
                           state == v1::JOB_STATE_ENDED;
      ++(started ? running : waiting);
    }
  }
  const int64_t nanos = BootTimeNanos() - started_.ns;
  const std::string time = DurationText(nanos);
  if (hosts_.size() > 1 || feed_) {
    const std::string failed = std::to_string(failed_) + " failed";
    const size_t ended = good_jobs_ + failed_;
    char rate[32];
    std::snprintf(rate, sizeof(rate), "%.1f",
                  static_cast<double>(ended) * 1e9 / static_cast<double>(nanos));
    printer_.Progress(std::to_string(good_jobs_) + " done, " + failed + ", " +
                          std::to_string(running) + " running, " + std::to_string(waiting) +
                          " waiting; " + rate + " ended a second, " + time,
                      failed_ > 0 ? failed : "");
  } else if (only != nullptr && only->has_progress()) {
    printer_.Progress(Percent(*only) + ", " + time);
  }
  loop_.At(BootTime{BootTimeNanos() + kProgressNanos}, [this] { ShowProgress(); });
}

}  // namespace brood::cli
