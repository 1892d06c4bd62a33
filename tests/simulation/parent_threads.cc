// SPDX-License-Identifier: Apache-2.0
//
// The jobs of a parent that are threads.
#include <sys/wait.h>

#include <csignal>
#include <string>

#include "agent/parent/limits.h"
#include "brood/v1/event.pb.h"
#include "tests/simulation/job_program.h"
#include "tests/simulation/parent_program.h"

namespace brood::simulation {

void ParentProgram::RunThread(uint64_t job_key) {
  Thread& thread = threads_.at(job_key);
  const JobPlan& plan = world_->plans.at(thread.job.job_id());
  thread.tid = static_cast<int32_t>(100'000 + job_key);
  Note note;
  note.kind = NoteKind::kStarted;
  note.job_key = job_key;
  note.attempt = thread.job.attempt();
  note.pid = self()->pid;
  note.tid = thread.tid;
  note.ppid = self()->ppid;
  note.start_ns = kernel_->now_ns();
  note.slot = kNoSlot;
  if (!TryNote(note, "")) {
    kernel_->Count(Sometimes::kNoteHeld);
    return kernel_->At(self(), kRetryNanos, [this, job_key] { RunThread(job_key); });
  }
  thread.started = true;
  kernel_->KillPoint();
  ++world_->ledger[thread.job.job_id()].begun;
  kernel_->Say("begins", {job_key}, thread.job.job_id());
  if (world_->random.Chance(500)) Ring();
  if (!plan.told.output.empty()) {
    thread.pipe = std::make_shared<Pipe>();
    thread.pipe->inode = world_->next_inode++;
    thread.pipe->bytes = FirstOutput(plan.told.output);
    ++thread.pipe->writers;
    streams_[job_key].pipe = thread.pipe;
    Announce({job_key});
  }
  if (thread.asked_to_stop && !plan.ignores_term)
    return Step(1'000, [this, job_key] { EndThread(job_key); });
  kernel_->At(self(), plan.works_ns, [this, job_key] { EndThread(job_key); });
}

void ParentProgram::EndThread(uint64_t job_key) {
  const auto found = threads_.find(job_key);
  if (found == threads_.end()) return;
  Thread& thread = found->second;
  const JobPlan& plan = world_->plans.at(thread.job.job_id());
  const bool stopped = thread.asked_to_stop && !plan.ignores_term;
  if (plan.crashes && !stopped) {
    folder_->last_words = LastWords{1, SIGSEGV, job_key};
    kernel_->Count(Sometimes::kThreadCrashes);
    Kernel::ExitNow(CLD_KILLED, SIGSEGV);
  }
  if (thread.pipe != nullptr) {
    if (!stopped) thread.pipe->bytes += SecondOutput(plan.told.output);
    --thread.pipe->writers;
  }
  if (!stopped) {
    ++world_->ledger[thread.job.job_id()].ended;
    kernel_->Say("ends", {job_key}, thread.job.job_id());
  }
  kernel_->KillPoint();
  Note note;
  note.job_key = job_key;
  note.attempt = thread.job.attempt();
  note.pid = self()->pid;
  note.tid = thread.tid;
  note.slot = kNoSlot;
  std::string text;
  if (stopped) {
    note.kind = NoteKind::kStopHonoured;
  } else {
    note.kind = NoteKind::kReturned;
    note.value_kind = v1::VALUE_TYPE_INT;
    text.assign(reinterpret_cast<const char*>(&plan.told.returned), sizeof(plan.told.returned));
  }
  AddNote(note, text);
  Ring();
  kernel_->KillPoint();
  threads_.erase(found);
  if (left_ && threads_.empty()) Kernel::ExitNow(CLD_EXITED, 0);
}

}  // namespace brood::simulation
