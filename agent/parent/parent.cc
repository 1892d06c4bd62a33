// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/parent.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "agent/parent/crash_hooks.h"
#include "agent/parent/environment.h"
#include "agent/parent/limits.h"
#include "agent/parent/parent_end.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/lie.h"
#include "common/base/pidfd_status.h"

namespace brood {

using internal::v1::FromParent;
using internal::v1::SignalJob;
using internal::v1::StartJob;
using internal::v1::ToParent;

namespace {

// Each live job costs three descriptors here; what we were given is what jobs get.
rlimit RaiseFileLimit() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  rlimit raised = files;
  raised.rlim_cur = raised.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &raised);
  return files;
}

void PrepareSignals() {
  // Read by signalfd; every thread made from here on has it blocked too.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // Ignored, as it may have been inherited, children would be reaped by the kernel.
  ::signal(SIGCHLD, SIG_DFL);
  // A task that writes to a peer that is gone must not end all the others. Children get the
  // default.
  ::signal(SIGPIPE, SIG_IGN);
}

std::string NameJob(void* threads, uint64_t job_key) {
  return static_cast<CallThreads*>(threads)->NameJob(job_key);
}

bool ChangesRunning(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU ||
         signal == SIGCONT;
}

}  // namespace

Result<Parent*> Parent::Create(const ParentOptions& options) {
  PrepareSignals();
  Result<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
  if (!loop) return loop.error();
  Result<std::unique_ptr<OutboxWriter>> outbox = OutboxWriter::Create(options.directory);
  if (!outbox) return outbox.error();
  Result<std::unique_ptr<SlotFile>> slots = SlotFile::Create(options.directory, options.call_slots);
  if (!slots) return slots.error();
  Result<std::unique_ptr<SharedCells>> shared_cells = SharedCells::Create();
  if (!shared_cells) return shared_cells.error();
  Result<std::unique_ptr<WatchWriter>> watch =
      WatchWriter::Create(options.directory, options.call_slots);
  if (!watch) return watch.error();
  // Kept for ever, and reachable from here, so that no leak is seen in it.
  static Parent* const parent =
      new Parent(options, *std::move(loop), *std::move(outbox), *std::move(slots),
                 *std::move(shared_cells), *std::move(watch));
  if (Status failed = parent->Open(options)) return *std::move(failed);
  return parent;
}

Parent::Parent(const ParentOptions& options, std::unique_ptr<EventLoop> loop,
               std::unique_ptr<OutboxWriter> outbox, std::unique_ptr<SlotFile> slots,
               std::unique_ptr<SharedCells> shared_cells, std::unique_ptr<WatchWriter> watch)
    : options_(options),
      loop_(std::move(loop)),
      notes_(std::move(outbox), [this] { loop_->Post([this] { RetryNotes(); }); }),
      slots_(std::move(slots)),
      shared_cells_(std::move(shared_cells)),
      watch_(std::move(watch)),
      cells_(&gate_, shared_cells_.get(), watch_.get()) {}

Status Parent::OpenDescriptors() {
  null_input_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null_input_) return ErrnoError(errno, "cannot open /dev/null");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return ErrnoError(errno, "cannot make a pipe");
  doorbell_read_.reset(ends[0]);
  const UniqueFd write_only(ends[1]);
  // Read-write, as all that jobs hold: no SIGPIPE for a child that outlives all readers.
  Result<UniqueFd> both = ReopenReadWrite(ends[1], O_NONBLOCK);
  if (!both) return both.error();
  doorbell_write_ = *std::move(both);
  return Ok();
}

Status Parent::Open(const ParentOptions& options) {
  if (Status failed = OpenDescriptors()) return failed;
  const rlimit files = RaiseFileLimit();
  std::vector<std::string> environment = CopyEnvironment();

  const std::string shipped = FindShippedLibrary();
  if (!shipped.empty()) libraries_.Load(shipped);
  for (const std::string& path : options.libraries) libraries_.Load(path);
  for (const auto& [name, variable] : libraries_.variables()) {
    cells_.Show(CellUser(), name.c_str(), variable->type, variable->address);
  }
  for (const auto& [name, mutex] : libraries_.mutexes()) {
    cells_.ShowMutex(CellUser(), name.c_str(), mutex->mutex);
  }
  CrashHooks::Install(slots_->last_words());

  link_ = std::make_unique<AgentLink>(
      loop_.get(),
      ParentIdentity{options.name, options.incarnation, notes_.bell(), doorbell_read_.get()}, this);
  link_->SetTasks(libraries_.description());
  streams_ = std::make_unique<JobStreams>(link_.get());
  Result<std::unique_ptr<Reaper>> reaper =
      Reaper::Create(loop_.get(), &processes_, &notes_, [this](ProcessJob* job) { OnEnded(job); });
  if (!reaper) return reaper.error();
  reaper_ = *std::move(reaper);
  threads_ =
      std::make_unique<CallThreads>(loop_.get(), &notes_, streams_.get(), &cells_, &libraries_);
  Forker::Parts forks;
  forks.notes = &notes_;
  forks.slots = slots_.get();
  forks.streams = streams_.get();
  forks.processes = &processes_;
  forks.reaper = reaper_.get();
  forks.cells = &cells_;
  forks.gate = &gate_;
  forks.watch = watch_.get();
  forks.threads = threads_.get();
  forks.libraries = &libraries_;
  forks.files = files;
  forks.environment_size = environment.size();
  forks.null_input = null_input_.get();
  forks.doorbell = doorbell_write_.get();
  forker_ = std::make_unique<Forker>(forks);

  Launcher::Parts commands;
  commands.notes = &notes_;
  commands.slots = slots_.get();
  commands.keys = &keys_;
  commands.streams = streams_.get();
  commands.processes = &processes_;
  commands.reaper = reaper_.get();
  commands.files = files;
  commands.environment = std::move(environment);
  commands.null_input = null_input_.get();
  commands.on_call = [this](StartJob job, uint64_t agent) {
    loop_->Post([this, job = std::move(job), agent] {
      StartCall(job, agent);
      forker_->StartWaiting();
    });
  };
  Result<std::unique_ptr<Launcher>> launcher = Launcher::Create(std::move(commands));
  if (!launcher) return launcher.error();
  launcher_ = *std::move(launcher);
  Failpoint("parent.listen");
  return link_->Listen(options.socket);
}

ParentEnd Parent::Run() {
  loop_->AfterRound([this] { notes_.EndRound(); });
  loop_->Run();
  return end_;
}

void Parent::OnFrame(uint64_t agent_incarnation, ToParent frame) {
  Failpoint("parent.frame");
  bool forks = false;
  for (StartJob& job : *frame.mutable_start()->mutable_jobs()) {
    if (job.argv_size() > 0) {
      launcher_->Start(std::move(job), agent_incarnation);
      continue;
    }
    forks = forks || !job.thread();
    StartCall(std::move(job), agent_incarnation);
  }
  if (forks) forker_->StartWaiting();
  FromParent answer;
  for (const SignalJob& signal : frame.signals()) {
    internal::v1::Signalled* const signalled = answer.add_signalled();
    signalled->set_job_key(signal.job_key());
    signalled->set_signal(signal.signal());
    signalled->set_whole_group(signal.whole_group());
    signalled->set_error_number(Signal(signal));
  }
  for (const uint64_t job_key : frame.stop_calls()) threads_->RequestStop(job_key);
  for (const uint64_t job_key : frame.drained()) OnDrained(job_key);
  for (const uint64_t job_key : frame.ask_known()) {
    Failpoint("parent.ask_known");
    // Should a late frame of the older agent bring it, it is not started; another attempt is.
    if (keys_.Refuse(job_key, agent_incarnation)) answer.add_unknown(job_key);
  }
  if (frame.has_read_memory()) {
    cells_.Answer(frame.read_memory(), NameJob, threads_.get(), answer.mutable_memory());
  }
  if (frame.has_watch_cells()) {
    const internal::v1::WatchCells& watch = frame.watch_cells();
    watch_->Select(watch.generation(), watch.all(), {watch.cells().begin(), watch.cells().end()});
    answer.set_watching(watch.generation());
  }
  if (answer.signalled_size() > 0 || answer.unknown_size() > 0 || answer.has_memory() ||
      answer.watching() != 0) {
    link_->SendToAgent(answer, {});
  }
  if (frame.has_end()) End(static_cast<ParentEnd>(frame.end().how()));
}

std::unique_ptr<FrameSocket> Parent::OnCommands(uint64_t agent_incarnation,
                                                std::unique_ptr<FrameSocket> socket,
                                                std::vector<std::string> frames) {
  return launcher_->Adopt(agent_incarnation, std::move(socket), std::move(frames));
}

void Parent::OnAgent(uint64_t agent_incarnation, uint64_t connection) {
  launcher_->FenceBelow(agent_incarnation);
  watch_->SelectNothing();
  streams_->AnnounceAll(connection);
}

void Parent::StartCall(StartJob job, uint64_t agent) {
  if (!keys_.Take(job.job_key(), agent)) return;
  Failpoint("call.taken");
  if (job.thread() || Lies(Lie::kForkAsThread)) {
    threads_->Start(std::move(job));
  } else {
    forker_->Add(std::move(job));
  }
}

// The errno of the kernel's answer. A job that was reaped is gone, whatever has its pid now.
int Parent::Signal(const SignalJob& signal) {
  if (Lies(Lie::kForkAsThread)) threads_->RequestStop(signal.job_key());
  ProcessJob* const job = processes_.Find(signal.job_key());
  if (job == nullptr || job->ended || !job->pidfd) return ESRCH;
  Failpoint("parent.signal");
  const int number = signal.signal();
  // A task that ignores SIGCHLD has the kernel reap: the number may be another group's by now.
  if (signal.whole_group()) {
    if (const int failed = SignalGroupOf(job->pidfd.get(), job->pid, number)) return failed;
  } else if (::syscall(SYS_pidfd_send_signal, job->pidfd.get(), number, nullptr, 0) != 0) {
    return errno;
  }
  if (ChangesRunning(number)) reaper_->ExpectChange(job);
  return 0;
}

void Parent::OnEnded(ProcessJob* job) {
  if (!job->drained) return;
  // The agent let go before the end: give it time to read the slot.
  loop_->At(BootTime{BootTimeNanos() + kEarlyDrainedNanos}, [this, job] { Forget(job); });
}

void Parent::OnDrained(uint64_t job_key) {
  Failpoint("parent.drained");
  streams_->Drop(job_key);
  ProcessJob* const job = processes_.Find(job_key);
  if (job == nullptr || job->drained) return;
  job->drained = true;
  if (job->ended) Forget(job);
}

void Parent::Forget(ProcessJob* job) {
  slots_->Free(job->slot);
  processes_.Remove(job->job_key);
  launcher_->OnSlotFree();
  if (forker_->starved()) forker_->StartWaiting();
}

void Parent::RetryNotes() {
  if (notes_.Retry()) {
    notes_.Ring();
    return;
  }
  loop_->At(BootTime{BootTimeNanos() + kRetryNanos}, [this] { RetryNotes(); });
}

void Parent::End(ParentEnd how) {
  if (how < ParentEnd::kReturn || how > ParentEnd::kThreadExit) how = ParentEnd::kReturn;
  end_ = how;
  Note note;
  note.kind = NoteKind::kParentEnding;
  note.pid = ::getpid();
  note.status = static_cast<int32_t>(how);
  note.slot = kNoSlot;
  notes_.Add(note);
  notes_.Ring();
  Failpoint("parent.ending");
  if (how == ParentEnd::kThreadExit) {
    // The launcher's thread must not keep the process; the main connection stays for
    // the streams of threads that go on.
    launcher_->Stop();
    link_->StopListening();
    loop_->Stop();
    return;
  }
  if (Lies(Lie::kThreadsOneByOne)) threads_->StopAll();
  ArmEndDeadline();
  if (how == ParentEnd::kReturn) {
    link_->StopListening();
    loop_->Stop();
    return;
  }
  LeaveBy(how);
}

}  // namespace brood
