// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/reaper.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/parent/exit_status.h"
#include "agent/parent/limits.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/planted_bug.h"

namespace brood {
namespace {

constexpr int kEndsPerRound = 64;

}  // namespace

Result<std::unique_ptr<Reaper>> Reaper::Create(EventLoop* loop, ProcessTable* processes,
                                               Notes* notes, Ended ended) {
  std::unique_ptr<Reaper> reaper(new Reaper(loop, processes, notes, std::move(ended)));
  if (Status failed = reaper->Open()) return *std::move(failed);
  return reaper;
}

Reaper::Reaper(EventLoop* loop, ProcessTable* processes, Notes* notes, Ended ended)
    : loop_(loop), processes_(processes), notes_(notes), ended_(std::move(ended)) {}

Status Reaper::Open() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return ErrnoError(errno, "epoll_create1");
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigchld_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!sigchld_) return ErrnoError(errno, "signalfd");
  if (Status failed = loop_->Add(epoll_.get(), EPOLLIN, [this](uint32_t) { OnEnds(); })) {
    return failed;
  }
  return loop_->Add(sigchld_.get(), EPOLLIN, [this](uint32_t) { OnSigchld(); });
}

void Reaper::Watch(ProcessJob* job) {
  if (!job->pidfd) {
    job->pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, job->pid, 0)));
    if (!job->pidfd && errno == ESRCH) {
      // A task ignores SIGCHLD, so that the kernel has reaped it already: nobody knows its status.
      loop_->Post([this, job] {
        Reap(job);
        notes_->RingAfterRound();
      });
      return;
    }
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = job;
  if (job->pidfd && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, job->pidfd.get(), &event) == 0) {
    return;
  }
  // Out of descriptors: it is our child and waits for us, so later is soon enough.
  loop_->Post([this, job] {
    loop_->At(BootTime{BootTimeNanos() + kRetryNanos}, [this, job] { Watch(job); });
  });
}

void Reaper::OnEnds() {
  while (Planted(Bug::kWaitForAnyChild) && ::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  epoll_event events[kEndsPerRound];
  const int count = ::epoll_wait(epoll_.get(), events, kEndsPerRound, 0);
  for (int i = 0; i < count; ++i) Reap(static_cast<ProcessJob*>(events[i].data.ptr));
  if (count > 0) notes_->RingAfterRound();
}

void Reaper::Reap(ProcessJob* job) {
  Note note;
  // The change that the end overtook.
  NoteChange(job);
  note.kind = NoteKind::kExited;
  note.job_key = job->job_key;
  note.attempt = job->attempt;
  note.pid = job->pid;
  note.slot = job->slot;
  if (job->pidfd && !ReadExit(job->pidfd.get(), job->pid, &note)) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, job->pidfd.get(), nullptr);
  if (Planted(Bug::kReapBeforeNote)) ReapExited(job->pidfd.get());
  Failpoint("process.ended");
  if (!notes_->TryAdd(note)) {
    // No room on the disk: the zombie keeps its status until there is.
    loop_->At(BootTime{BootTimeNanos() + kRetryNanos}, [this, job] { Watch(job); });
    return;
  }
  Failpoint("process.noted");
  ReapExited(job->pidfd.get());
  Failpoint("process.reaped");
  job->pidfd.reset();
  job->ended = true;
  std::erase(expected_, job->job_key);
  ended_(job);
}

void Reaper::ExpectChange(ProcessJob* job) {
  if (std::find(expected_.begin(), expected_.end(), job->job_key) == expected_.end()) {
    expected_.push_back(job->job_key);
  }
}

// Returns whether there was one.
bool Reaper::NoteChange(ProcessJob* job) {
  Note note;
  if (job->ended || !job->pidfd || !ReadChange(job->pidfd.get(), &note)) return false;
  note.job_key = job->job_key;
  note.attempt = job->attempt;
  note.pid = job->pid;
  note.slot = job->slot;
  notes_->Add(note);
  TakeChange(job->pidfd.get());
  return true;
}

// A stop does not make a pidfd readable, so SIGCHLD says to look. One pending
// SIGCHLD hides later ones: whoever is stopped is looked for among all, and who
// was sent such a signal by us is looked at even if only an end is reported.
void Reaper::OnSigchld() {
  bool changed = false;
  signalfd_siginfo seen;
  while (::read(sigchld_.get(), &seen, sizeof(seen)) == static_cast<ssize_t>(sizeof(seen))) {
    changed = changed || seen.ssi_code == CLD_STOPPED || seen.ssi_code == CLD_CONTINUED ||
              seen.ssi_code == CLD_TRAPPED;
  }
  bool noted = false;
  if (changed) {
    // Who is expected to change and has not yet stays so: its SIGCHLD may be the hidden one.
    processes_->ForEach([this, &noted](ProcessJob* job) {
      if (!NoteChange(job)) return;
      noted = true;
      std::erase(expected_, job->job_key);
    });
  } else {
    std::erase_if(expected_, [this, &noted](uint64_t job_key) {
      ProcessJob* const job = processes_->Find(job_key);
      const bool done = job == nullptr || NoteChange(job);
      noted = noted || done;
      return done;
    });
  }
  if (noted) notes_->RingAfterRound();
}

}  // namespace brood
