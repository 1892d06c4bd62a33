// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/forker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>
#include <utility>

#include "agent/parent/hazards.h"
#include "agent/parent/limits.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"

namespace brood {

using internal::v1::StartJob;

Forker::Forker(Parts parts)
    : parts_(parts),
      page_bytes_(static_cast<uint64_t>(::sysconf(_SC_PAGESIZE))),
      changed_signals_(FindChangedSignals()),
      memory_file_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}

// 0 if it cannot be read.
uint64_t Forker::ReadResidentBytes() const {
  char text[128];
  const ssize_t got = ::pread(memory_file_.get(), text, sizeof(text), 0);
  if (got <= 0) return 0;
  // Pages in all, a space, pages in memory.
  const char* const end = text + got;
  const char* const space = std::find<const char*>(text, end, ' ');
  uint64_t pages = 0;
  if (space == end || std::from_chars(space + 1, end, pages).ec != std::errc()) return 0;
  return pages * page_bytes_;
}

void Forker::StartWaiting() {
  starved_ = false;
  while (!waiting_.empty() && !starved_) {
    std::vector<std::unique_ptr<ForkedCall>> batch;
    std::vector<uint64_t> keys;
    while (!waiting_.empty() && batch.size() < kJobsPerStreamsFrame && !starved_) {
      std::unique_ptr<ForkedCall> call = Prepare();
      if (call == nullptr) continue;
      keys.push_back(call->job_key());
      batch.push_back(std::move(call));
    }
    // Before the first byte can be written: the agent has the readers' ends.
    parts_.streams->Announce(keys);
    Failpoint("fork.announced");
    for (const std::unique_ptr<ForkedCall>& call : batch) {
      Fork(call.get());
      // At once: while we have a file of its output open, the agent cannot know that nobody has.
      *call->pipes() = JobPipes();
      parts_.notes->RingSometimes();
    }
    parts_.notes->RingAfterRound();
  }
}

// Takes the front of the line; null if it is not to be forked, now or ever.
std::unique_ptr<ForkedCall> Forker::Prepare() {
  const StartJob& front = waiting_.front();
  const brood_task* const task = parts_.libraries->Find(front.task());
  if (task == nullptr) {
    Fail(front, "call", 0,
         "there is no task '" + front.task() + "' in this parent; see `brood tasks`");
    waiting_.pop_front();
    return nullptr;
  }
  errno = 0;
  const uint32_t slot = parts_.slots->Reserve(front.job_key(), front.attempt(), true);
  if (slot == kNoSlot) {
    if (errno == ENOSPC) {
      Fail(front, "slot", ENOSPC,
           ErrnoError(ENOSPC, "cannot reserve the 64 KiB that the call returns its value in")
               .message);
      waiting_.pop_front();
    } else {
      starved_ = true;
    }
    return nullptr;
  }
  auto call = std::make_unique<ForkedCall>(std::move(waiting_.front()), task, parts_.cells,
                                           parts_.files, parts_.environment_size);
  waiting_.pop_front();
  call->SetSlot(*parts_.slots, slot);
  if (const Status failed = call->Bind()) {
    FailPrepared(*call, "call", 0, failed->message);
    return nullptr;
  }
  int error_number = 0;
  const ChildStep fault = FindSetupFault(call->job(), &error_number);
  if (fault != ChildStep::kNone) {
    FailPrepared(*call, ChildStepName(fault), error_number,
                 SetupSentence(call->job(), "the call", fault, error_number));
    return nullptr;
  }
  Result<JobPipes> pipes = MakeJobPipes(call->job(), &error_number);
  if (!pipes) {
    FailPrepared(*call, ChildStepName(ChildStep::kPipe), error_number, pipes.error().message);
    return nullptr;
  }
  *call->pipes() = *std::move(pipes);
  call->pipes()->NoteInodes(parts_.slots->start(slot));
  parts_.streams->Keep(call->job_key(), call->pipes());
  return call;
}

void Forker::Fork(ForkedCall* call) {
  const StartJob& job = call->job();
  const uint64_t resident = ReadResidentBytes();
  parts_.watch->PrepareFork(call->slot(), job.job_key());
  const int64_t at_gate = BootTimeNanos();
  if (!parts_.gate->Close(kGateWaitNanos)) {
    const std::string holder = parts_.threads->NameGateHolder();
    FailPrepared(
        *call, "gate", 0,
        "the job " + (holder.empty() ? std::string("that holds the gate") : "'" + holder + "'") +
            " is changing a cell for longer than two seconds, so that this process cannot be "
            "copied; end that job");
    return;
  }
  const uint32_t threads = parts_.threads->count();
  const std::vector<HazardNote> hazards =
      FindHazards(parts_.threads, parts_.cells->known_mutexes());
  if (job.refuse_if_hazard() && !hazards.empty()) {
    parts_.gate->Open();
    FailPrepared(*call, "hazard", 0,
                 HazardWords(hazards.front(), parts_.threads) +
                     ", and this call asked not to be forked then; wait for it, or leave out "
                     "refuse_if_hazard");
    return;
  }
  // While no task has run in this process, nobody can have changed an action since the start: sixty
  // system calls less in each child.
  const bool untouched = __libc_single_threaded != 0 && !parts_.threads->ran_on_main_thread();
  const uint64_t signals_to_reset = untouched ? changed_signals_ : kAllSignals;
  // No signal may meet the child before its handlers are those of a new process.
  const uint64_t all = ~uint64_t{0};
  uint64_t signals = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &signals, sizeof(all));
  const int64_t before = BootTimeNanos();
  const pid_t pid = FailsAt("fork.fork") ? -1 : ::fork();
  if (pid == 0) {
    call->RunInChild(ForkedCall::Inherited{parts_.gate, parts_.watch, parts_.null_input,
                                           parts_.doorbell, signals_to_reset});
  }
  const int failed = errno;
  const int64_t after = BootTimeNanos();
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &signals, nullptr, sizeof(signals));
  parts_.gate->Open();
  Failpoint("fork.forked");
  if (pid < 0) {
    FailPrepared(*call, ChildStepName(ChildStep::kFork), failed,
                 ErrnoError(failed, "cannot fork this process").message);
    return;
  }
  Note note;
  note.kind = NoteKind::kStarted;
  note.job_key = job.job_key();
  note.attempt = job.attempt();
  note.pid = pid;
  note.tid = pid;
  note.ppid = ::getpid();
  note.pgid = pid;
  note.start_ns = after;  // process_life.h
  note.fork_ns = after - before;
  note.gate_wait_ns = before - at_gate;
  note.threads_at_fork = threads;
  note.slot = call->slot();
  note.max_rss_bytes = resident;
  const std::string hazard_bytes = ToHazardBytes(hazards);

  auto process = std::make_unique<ProcessJob>();
  process->job_key = job.job_key();
  process->attempt = job.attempt();
  process->slot = call->slot();
  process->pid = pid;
  ProcessJob* const added =
      parts_.processes->Add(std::move(process), [&] { parts_.notes->Add(note, hazard_bytes); });
  Failpoint("fork.noted");
  parts_.reaper->Watch(added);
}

void Forker::Fail(const StartJob& job, std::string_view step, int error_number,
                  std::string_view sentence) {
  parts_.notes->AddFailed(job.job_key(), job.attempt(), step, error_number, sentence);
}

void Forker::FailPrepared(const ForkedCall& call, std::string_view step, int error_number,
                          std::string_view sentence) {
  Fail(call.job(), step, error_number, sentence);
  parts_.streams->Drop(call.job_key());
  parts_.slots->Free(call.slot());
}

}  // namespace brood
