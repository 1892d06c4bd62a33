// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/launcher.h"

#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/parent/limits.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"

namespace brood {

using internal::v1::StartJob;
using internal::v1::ToParent;

Result<std::unique_ptr<Launcher>> Launcher::Create(Parts parts) {
  Result<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
  if (!loop) return loop.error();
  Result<std::unique_ptr<ChildLauncher>> children = ChildLauncher::Create();
  if (!children) return children.error();
  return std::unique_ptr<Launcher>(
      new Launcher(std::move(parts), *std::move(loop), *std::move(children)));
}

Launcher::Launcher(Parts parts, std::unique_ptr<EventLoop> loop,
                   std::unique_ptr<ChildLauncher> children)
    : parts_(std::move(parts)), loop_(std::move(loop)), children_(std::move(children)) {
  for (const std::string& entry : parts_.environment) base_environment_.push_back(entry.c_str());
  base_environment_.push_back(nullptr);
}

void* Launcher::Run(void* launcher) {
  pthread_setname_np(pthread_self(), "launcher");
  static_cast<Launcher*>(launcher)->loop_->Run();
  return nullptr;
}

bool Launcher::EnsureThread(int* error_number) {
  if (has_thread_) return true;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kThreadStackBytes);
  pthread_t thread;
  *error_number = pthread_create(&thread, &attributes, &Launcher::Run, this);
  pthread_attr_destroy(&attributes);
  has_thread_ = *error_number == 0;
  return has_thread_;
}

void Launcher::FailUnstarted(const StartJob& job, int error_number) {
  parts_.notes->AddFailed(
      job.job_key(), job.attempt(), "thread", error_number,
      ErrnoError(error_number, "cannot create the thread that starts commands").message);
  parts_.notes->Ring();
}

std::unique_ptr<FrameSocket> Launcher::Adopt(uint64_t agent_incarnation,
                                             std::unique_ptr<FrameSocket> socket,
                                             std::vector<std::string> frames) {
  int error_number = 0;
  if (!EnsureThread(&error_number)) {
    for (const std::string& payload : frames) {
      ToParent frame;
      if (!frame.ParseFromString(payload)) continue;
      for (StartJob& job : *frame.mutable_start()->mutable_jobs()) {
        if (job.argv_size() > 0) {
          FailUnstarted(job, error_number);
        } else {
          parts_.on_call(std::move(job), agent_incarnation);
        }
      }
    }
    return socket;
  }
  // std::function wants what it holds to be copyable.
  auto shared = std::make_shared<std::unique_ptr<FrameSocket>>(std::move(socket));
  loop_->Post([this, agent_incarnation, shared, frames = std::move(frames)] {
    Disconnect();
    socket_ = std::move(*shared);
    agent_incarnation_ = agent_incarnation;
    if (loop_->Add(socket_->fd(), EPOLLIN, [this](uint32_t) { OnReadable(); })) {
      socket_.reset();
      return;
    }
    for (const std::string& payload : frames) Handle(payload);
  });
  return nullptr;
}

void Launcher::FenceBelow(uint64_t agent_incarnation) {
  loop_->Post([this, agent_incarnation] {
    if (agent_incarnation_ < agent_incarnation) Disconnect();
  });
}

void Launcher::Start(StartJob job, uint64_t agent) {
  int error_number = 0;
  if (!EnsureThread(&error_number)) return FailUnstarted(job, error_number);
  loop_->Post([this, job = std::move(job), agent] {
    waiting_.push_back(Waiting{job, agent});
    StartWaiting();
  });
}

void Launcher::OnSlotFree() {
  if (starved_.load()) loop_->Post([this] { StartWaiting(); });
}

void Launcher::Stop() {
  loop_->Post([this] {
    Disconnect();
    waiting_.clear();
  });
  loop_->Stop();
}

void Launcher::Disconnect() {
  if (socket_ == nullptr) return;
  loop_->Remove(socket_->fd());
  socket_.reset();
}

void Launcher::OnReadable() {
  const Result<bool> open = socket_->Receive([this](std::string_view payload) { Handle(payload); });
  if (!open || !*open) Disconnect();
}

void Launcher::Handle(std::string_view payload) {
  ToParent frame;
  if (!frame.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) return;
  for (StartJob& job : *frame.mutable_start()->mutable_jobs()) {
    if (job.argv_size() > 0) {
      waiting_.push_back(Waiting{std::move(job), agent_incarnation_});
    } else {
      parts_.on_call(std::move(job), agent_incarnation_);
    }
  }
  StartWaiting();
}

void Launcher::StartWaiting() {
  starved_.store(false);
  while (!waiting_.empty() && !starved_.load()) {
    std::vector<Prepared> batch;
    std::vector<uint64_t> keys;
    batch.reserve(std::min(waiting_.size(), kJobsPerStreamsFrame));
    while (!waiting_.empty() && batch.size() < kJobsPerStreamsFrame && !starved_.load()) {
      Prepared prepared;
      if (!Prepare(&prepared)) continue;
      keys.push_back(prepared.job.job_key());
      batch.push_back(std::move(prepared));
    }
    // Before the first byte can be written: the agent has the reader's ends.
    parts_.streams->Announce(keys);
    Failpoint("command.announced");
    for (Prepared& prepared : batch) {
      Launch(&prepared);
      // At once: while we have a file of its output open, the agent cannot know that nobody has.
      prepared.pipes = JobPipes();
      parts_.notes->RingSometimes();
    }
    if (!batch.empty()) parts_.notes->Ring();
  }
}

// Takes the front of the line; false if it is not to be launched, now or ever.
bool Launcher::Prepare(Prepared* prepared) {
  StartJob& job = waiting_.front().job;
  const uint64_t agent = waiting_.front().agent;
  prepared->slot = parts_.slots->Reserve(job.job_key(), job.attempt(), false);
  if (prepared->slot == kNoSlot) {
    // Said first, tried again after: a slot freed in between must not be missed.
    starved_.store(true);
    prepared->slot = parts_.slots->Reserve(job.job_key(), job.attempt(), false);
    if (prepared->slot == kNoSlot) return false;
    starved_.store(false);
  }
  prepared->job = std::move(job);
  waiting_.pop_front();
  if (!parts_.keys->Take(prepared->job.job_key(), agent)) {
    parts_.slots->Free(prepared->slot);
    return false;
  }
  Failpoint("command.taken");
  int error_number = 0;
  Result<JobPipes> pipes = MakeJobPipes(prepared->job, &error_number);
  if (!pipes) {
    Fail(*prepared, ChildStep::kPipe, error_number, pipes.error().message);
    return false;
  }
  prepared->pipes = *std::move(pipes);
  prepared->pipes.NoteInodes(parts_.slots->start(prepared->slot));
  parts_.streams->Keep(prepared->job.job_key(), &prepared->pipes);
  return true;
}

void Launcher::Launch(Prepared* prepared) {
  const StartJob& job = prepared->job;
  StartSlot* const slot = parts_.slots->start(prepared->slot);
  ExecPlan plan(base_environment_.data(), base_environment_.size(), job, parts_.files);
  ChildSetup& setup = plan.pointers()->setup;
  setup.slot = slot;
  setup.input = job.stdin_stream() ? prepared->pipes.input_read.get() : parts_.null_input;
  setup.output = prepared->pipes.output_write.get();
  setup.error = prepared->pipes.error_write.get();

  const int64_t before = BootTimeNanos();
  LaunchedChild child = children_->Launch(*plan.pointers());
  const int64_t after = BootTimeNanos();
  Failpoint("command.cloned");
  if (child.pid < 0) {
    Fail(*prepared, ChildStep::kFork, child.error_number,
         ErrnoError(child.error_number, "cannot create a process for '" + job.argv(0) + "'")
             .message);
    return;
  }
  if (slot->failed_step != 0) {
    const auto step = static_cast<ChildStep>(slot->failed_step);
    const int error_number = slot->error_number;
    while (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), nullptr, WEXITED) != 0 &&
           errno == EINTR) {
    }
    Fail(*prepared, step, error_number, plan.Sentence(step, error_number));
    return;
  }
  Note note;
  note.kind = NoteKind::kStarted;
  note.job_key = job.job_key();
  note.attempt = job.attempt();
  note.pid = child.pid;
  note.tid = child.pid;
  note.ppid = ::getpid();
  note.pgid = child.pid;
  note.start_ns = slot->start_ns != 0 ? slot->start_ns : after;
  note.fork_ns = after - before;
  note.slot = prepared->slot;

  auto process = std::make_unique<ProcessJob>();
  process->job_key = job.job_key();
  process->attempt = job.attempt();
  process->slot = prepared->slot;
  process->pid = child.pid;
  process->pidfd = std::move(child.pidfd);
  ProcessJob* const added =
      parts_.processes->Add(std::move(process), [this, &note] { parts_.notes->Add(note); });
  Failpoint("command.noted");
  // From here on it may end, and be reaped, at any moment.
  parts_.reaper->Watch(added);
}

void Launcher::Fail(const Prepared& prepared, ChildStep step, int error_number,
                    const std::string& sentence) {
  const uint64_t job_key = prepared.job.job_key();
  parts_.notes->AddFailed(job_key, prepared.job.attempt(), ChildStepName(step), error_number,
                          sentence);
  parts_.notes->Ring();
  // Nothing of it is left to be read.
  parts_.streams->Drop(job_key);
  parts_.slots->Free(prepared.slot);
}

}  // namespace brood
