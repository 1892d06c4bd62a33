// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/thread_call.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>

#include "agent/outbox/slot_file.h"
#include "agent/parent/limits.h"
#include "common/base/clock.h"
#include "common/base/lie.h"

namespace brood {

void ThreadCall::NoteStarted() {
  tid_.store(::gettid(), std::memory_order_relaxed);
  Note note;
  note.kind = NoteKind::kStarted;
  note.job_key = job_key();
  note.attempt = job().attempt();
  note.pid = ::getpid();
  note.tid = ::gettid();
  note.ppid = ::getppid();
  note.pgid = ::getpgrp();
  note.start_ns = created_ns_;
  note.fork_ns = BootTimeNanos() - created_ns_;
  note.slot = kNoSlot;
  if (Lies(Lie::kForkAsThread) && !job().thread()) {
    note.ppid = note.pid;
    note.pid = note.pgid = note.tid;
  }
  // No slot tells that a thread has begun: with its note kept in memory only, a parent that ended
  // would take it for one that never ran, and the next would run it again.
  while (!notes_->TryAdd(note)) ::usleep(kRetryNanos / 1'000);
}

void ThreadCall::NoteEnded(int ended) {
  if (Lies(Lie::kThreadsOneByOne) && StopRequested()) return;
  if (progress_pending_) NoteProgress();
  // Readers see the end of the streams before, or with, the end of the job.
  const bool had_streams = static_cast<bool>(pipes_.output_write);
  pipes_ = JobPipes();
  Note note;
  note.job_key = job_key();
  note.attempt = job().attempt();
  note.pid = ::getpid();
  note.tid = ::gettid();
  note.slot = kNoSlot;
  if (had_streams) note.flags |= kHasStreams;
  if (wrote_watched()) note.flags |= kHasWrites;
  if (Lies(Lie::kForkAsThread) && !job().thread()) {
    note.kind = NoteKind::kExited;
    note.code = CLD_EXITED;
    notes_->Add(note);
    return;
  }
  switch (ended) {
    case BROOD_TASK_RETURNED:
      note.kind = NoteKind::kReturned;
      note.value_kind = static_cast<uint16_t>(result_kind());
      notes_->Add(note, result_bytes());
      break;
    case BROOD_TASK_STOPPED:
      note.kind = NoteKind::kStopHonoured;
      notes_->Add(note);
      break;
    default:
      note.kind = NoteKind::kThrew;
      notes_->Add(note, thrown());
      break;
  }
}

void ThreadCall::RequestStop() {
  stop_.store(1, std::memory_order_release);
  ::syscall(SYS_futex, &stop_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

int ThreadCall::Sleep(int64_t nanoseconds) {
  timespec until{};
  ::clock_gettime(CLOCK_MONOTONIC, &until);
  if (nanoseconds > 0) {
    until.tv_sec += nanoseconds / 1'000'000'000;
    until.tv_nsec += nanoseconds % 1'000'000'000;
    if (until.tv_nsec >= 1'000'000'000) {
      ++until.tv_sec;
      until.tv_nsec -= 1'000'000'000;
    }
  }
  while (!StopRequested()) {
    const long woken = ::syscall(SYS_futex, &stop_, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, nullptr,
                                 FUTEX_BITSET_MATCH_ANY);
    if (woken != 0 && errno == ETIMEDOUT) return BROOD_OK;
  }
  return BROOD_STOPPED;
}

void ThreadCall::Progress(double fraction, std::string_view text) {
  fraction_ = fraction;
  progress_text_ = text.substr(0, kProgressTextBytes);
  progress_pending_ = true;
  if (BootTimeNanos() - progress_noted_ns_ < kProgressPeriodNanos) return;
  NoteProgress();
  notes_->Ring();
}

void ThreadCall::NoteProgress() {
  progress_pending_ = false;
  progress_noted_ns_ = BootTimeNanos();
  Note note;
  note.kind = NoteKind::kProgress;
  note.job_key = job_key();
  note.attempt = job().attempt();
  note.fraction = fraction_;
  note.slot = kNoSlot;
  notes_->Add(note, progress_text_);
}

int ThreadCall::Write(int stream, std::string_view bytes) {
  if (stream != STDOUT_FILENO && stream != STDERR_FILENO) {
    errno = EBADF;
    return BROOD_FAILED;
  }
  if (bytes.empty()) return BROOD_OK;
  if (!pipes_.output_write) {
    if (const int refused = OpenStreams()) return refused;
  }
  return WriteAll((stream == STDOUT_FILENO ? pipes_.output_write : pipes_.error_write).get(),
                  bytes);
}

// Most calls never write: only those that do pay for pipes.
int ThreadCall::OpenStreams() {
  int error_number = 0;
  Result<JobPipes> pipes = MakeJobPipes(job(), &error_number);
  if (!pipes) {
    errno = error_number;
    return BROOD_FAILED;
  }
  pipes_ = *std::move(pipes);
  streams_->Keep(job_key(), &pipes_);
  streams_->Announce({job_key()});
  return BROOD_OK;
}

}  // namespace brood
