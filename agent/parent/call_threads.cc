// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/call_threads.h"

#include <cxxabi.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "agent/parent/crash_hooks.h"
#include "agent/parent/limits.h"
#include "agent/parent/thread_call.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"

namespace brood {

using internal::v1::StartJob;

namespace {

// Nobody waits for it but a program that is about to end.
constexpr useconds_t kStopPollMicros = 1'000;

// What a new thread gets.
struct Begin {
  CallThreads* threads;
  ThreadCall* call;
};

}  // namespace

CallThreads::CallThreads(EventLoop* loop, Notes* notes, JobStreams* streams, CellStore* cells,
                         const TaskLibraries* libraries)
    : loop_(loop), notes_(notes), streams_(streams), cells_(cells), libraries_(libraries) {
  pthread_attr_init(&attributes_);
  // Nobody waits for them: the end is noted by the thread itself.
  pthread_attr_setdetachstate(&attributes_, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes_, kThreadStackBytes);
}

CallThreads::~CallThreads() { pthread_attr_destroy(&attributes_); }

void CallThreads::Start(StartJob job) {
  const uint64_t job_key = job.job_key();
  const uint32_t attempt = job.attempt();
  const brood_task* const task = libraries_->Find(job.task());
  if (task == nullptr) {
    notes_->AddFailed(job_key, attempt, "call", 0,
                      "there is no task '" + job.task() + "' in this parent; see `brood tasks`");
    notes_->Ring();
    return;
  }
  auto owned = std::make_unique<ThreadCall>(std::move(job), task, cells_, notes_, streams_);
  ThreadCall* const call = owned.get();
  if (const Status failed = call->Bind()) {
    notes_->AddFailed(job_key, attempt, "call", 0, failed->message);
    notes_->Ring();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    calls_.insert_or_assign(job_key, std::move(owned));
  }
  count_.fetch_add(1, std::memory_order_relaxed);
  if ((task->flags & BROOD_TASK_ON_MAIN_THREAD) != 0) {
    // Not in the middle of a frame: what came with it is done first.
    loop_->Post([this, call] { RunOnMainThread(call); });
    return;
  }
  ++created_;
  call->set_created_ns(BootTimeNanos());
  pthread_t thread;
  auto* const begin = new Begin{this, call};
  const int failed = FailsAt("thread.create")
                         ? errno
                         : pthread_create(&thread, &attributes_, &CallThreads::RunThread, begin);
  if (failed != 0) {
    delete begin;
    --created_;
    notes_->AddFailed(job_key, attempt, "thread", failed,
                      ErrnoError(failed, "cannot create a thread for the job").message);
    notes_->Ring();
    Remove(call);
    return;
  }
  if (!timer_armed_) {
    timer_armed_ = true;
    loop_->At(BootTime{BootTimeNanos() + kQuietStartNanos}, [this] { RingForStarts(); });
  }
}

void* CallThreads::RunThread(void* argument) {
  const Begin begin = *static_cast<Begin*>(argument);
  delete static_cast<Begin*>(argument);
  CallThreads* const threads = begin.threads;
  threads->Run(begin.call, [threads] { threads->begun_.fetch_add(1, std::memory_order_release); });
  return nullptr;
}

void CallThreads::RunOnMainThread(ThreadCall* call) {
  ran_on_main_thread_ = true;
  call->set_created_ns(BootTimeNanos());
  // Also for what this round has noted: its end is far away.
  Run(call, [this] { notes_->Ring(); });
}

template <typename Started>
void CallThreads::Run(ThreadCall* call, Started started) {
  const pid_t process = ::getpid();
  alignas(16) char stack[kAlternateStackBytes];
  const CrashHooks::JobThread hooks(call->job_key(), stack, sizeof(stack));

  // Also where the task leaves by pthread_exit: that ends the call, not the accounts.
  struct End {
    ~End() {
      // The task forked by itself and its child came back here: it is not the job.
      if (::getpid() != process) ::_exit(ended == BROOD_TASK_THREW ? 1 : 0);
      Failpoint("thread.returned");
      call->NoteEnded(ended);
      Failpoint("thread.noted");
      threads->notes_->Ring();
      threads->Remove(call);
    }
    CallThreads* threads;
    ThreadCall* call;
    pid_t process;
    int ended = BROOD_TASK_RETURNED;
  } end{this, call, process};

  Failpoint("thread.begin");
  call->NoteStarted();
  started();
  end.ended = call->Run();
}

void CallThreads::StopAll() {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [job_key, call] : calls_) call->RequestStop();
  }
  while (count() > 0) ::usleep(kStopPollMicros);
}

void CallThreads::Remove(ThreadCall* call) {
  std::unique_ptr<ThreadCall> removed;
  {
    const std::lock_guard lock(mutex_);
    const auto found = calls_.find(call->job_key());
    removed = std::move(found->second);
    calls_.erase(found);
  }
  count_.fetch_sub(1, std::memory_order_relaxed);
}

// Rings for calls that run longer than a moment, and goes on as long as there
// are threads that have not begun.
void CallThreads::RingForStarts() {
  timer_armed_ = false;
  const bool all_begun = begun_.load(std::memory_order_acquire) == created_;
  notes_->Ring();
  if (all_begun) return;
  timer_armed_ = true;
  loop_->At(BootTime{BootTimeNanos() + kQuietStartNanos}, [this] { RingForStarts(); });
}

void CallThreads::RequestStop(uint64_t job_key) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(job_key);
  if (found != calls_.end()) found->second->RequestStop();
}

std::vector<CallThreads::Living> CallThreads::FindLiving(size_t most) {
  std::vector<Living> living;
  const std::lock_guard lock(mutex_);
  for (const auto& [job_key, call] : calls_) {
    if (living.size() == most) break;
    if (call->tid() != 0) living.push_back(Living{job_key, call->tid()});
  }
  return living;
}

std::string CallThreads::NameGateHolder() {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, call] : calls_) {
    if (call->in_gate()) return call->job().job_id();
  }
  return std::string();
}

std::string CallThreads::NameJob(uint64_t job_key) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(job_key);
  return found != calls_.end() ? "the job '" + found->second->job().job_id() + "'" : "another job";
}

}  // namespace brood
