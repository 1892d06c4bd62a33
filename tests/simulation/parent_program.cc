// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/parent_program.h"

#include <sys/wait.h>

#include <csignal>

#include "brood/v1/event.pb.h"
#include "tests/simulation/job_program.h"

namespace brood::simulation {
namespace {

constexpr int64_t kRetryNanos = 100'000'000;
constexpr int64_t kEarlyDrainedNanos = 5'000'000'000;

}  // namespace

ParentProgram::ParentProgram(World* world, const ProcessRef& self, ParentKey key, uint32_t slots)
    : world_(world),
      kernel_(&world->kernel),
      self_(self),
      key_(std::move(key)),
      slot_count_(slots) {}

ParentProgram::~ParentProgram() {
  world_->parents_died = true;
  if (main_ != nullptr) main_->Close();
  if (commands_ != nullptr) commands_->Close();
  const auto listening = world_->parents.find(key_);
  if (listening != world_->parents.end() && listening->second == self())
    world_->parents.erase(listening);
}

void ParentProgram::Step(int64_t least_ns, std::function<void()> step) {
  kernel_->At(self(), world_->random.Delay(least_ns), std::move(step));
}

void ParentProgram::OnGo(bool go) {
  if (!go) {
    kernel_->Count(Sometimes::kParentNotLetGo);
    Kernel::ExitNow(CLD_EXITED, 1);
  }
  const auto folder = world_->disk.parents.find(key_);
  // Made by another of that name and number, or removed.
  if (folder == world_->disk.parents.end() || folder->second->has_slots || world_->disk.full)
    Kernel::ExitNow(CLD_EXITED, 1);
  folder_ = folder->second;
  folder_->has_slots = true;
  folder_->starts.resize(slot_count_);
  folder_->areas.resize(slot_count_);
  for (uint32_t slot = slot_count_; slot > 0; --slot) free_slots_.push_back(slot - 1);
  Step(100'000, [this] { world_->parents[key_] = self(); });
}

void ParentProgram::Accept(const std::shared_ptr<ParentWire>& wire, uint64_t agent_incarnation,
                           bool commands) {
  if (agent_incarnation < agent_incarnation_) {
    kernel_->Count(Sometimes::kAgentFenced);
    return wire->Close();
  }
  if (agent_incarnation > agent_incarnation_) {
    if (main_ != nullptr) main_->Close();
    Step(5'000, [this, agent_incarnation] {
      if (commands_ == nullptr || commands_incarnation_ >= agent_incarnation) return;
      commands_->Close();
      commands_.reset();
    });
  }
  agent_incarnation_ = agent_incarnation;
  if (commands) {
    wire->wake_peer = [this] { OnCommands(); };
    return Step(5'000, [this, wire, agent_incarnation] {
      if (agent_incarnation < commands_incarnation_) return;
      if (commands_ != nullptr) commands_->Close();
      commands_ = wire;
      commands_incarnation_ = agent_incarnation;
      OnCommands();
    });
  }
  main_ = wire;
  wire->wake_peer = [this] { OnMain(); };
  FromParent hello;
  hello.frame.set_bells(true);
  wire->SendUp(std::move(hello));
  for (auto& [job_key, kept] : streams_) kept.sent = false;
  std::vector<uint64_t> all;
  for (const auto& [job_key, kept] : streams_) all.push_back(job_key);
  Announce(all);
  FromParent tasks;
  tasks.frame.mutable_tasks()->add_libraries()->add_tasks()->set_name(kTask);
  wire->SendUp(std::move(tasks));
  Step(1'000, [this] { OnMain(); });
}

void ParentProgram::OnMain() {
  internal::v1::ToParent frame;
  while (!left_ && main_ != nullptr && main_->TakeDown(&frame)) {
    OnFrame(std::move(frame));
    kernel_->KillPoint();
  }
}

void ParentProgram::OnCommands() {
  internal::v1::ToParent frame;
  while (!left_ && commands_ != nullptr && commands_->TakeDown(&frame)) {
    for (internal::v1::StartJob& job : *frame.mutable_start()->mutable_jobs())
      commands_waiting_.emplace_back(std::move(job), commands_incarnation_);
    kernel_->KillPoint();
  }
  LaunchNext();
}

void ParentProgram::OnFrame(internal::v1::ToParent frame) {
  for (internal::v1::StartJob& job : *frame.mutable_start()->mutable_jobs())
    StartCall(std::move(job));
  ForkNext();
  FromParent answer;
  for (const internal::v1::SignalJob& signal : frame.signals()) {
    internal::v1::Signalled* const signalled = answer.frame.add_signalled();
    signalled->set_job_key(signal.job_key());
    signalled->set_signal(signal.signal());
    signalled->set_whole_group(signal.whole_group());
    signalled->set_error_number(Signal(signal));
  }
  for (const uint64_t job_key : frame.stop_calls()) {
    const auto thread = threads_.find(job_key);
    if (thread == threads_.end()) continue;
    thread->second.asked_to_stop = true;
    if (!world_->plans.at(thread->second.job.job_id()).ignores_term && thread->second.started)
      Step(1'000, [this, job_key] { EndThread(job_key); });
  }
  for (const uint64_t job_key : frame.drained()) Drained(job_key);
  for (const uint64_t job_key : frame.ask_known()) {
    if (!keys_.Refuse(job_key, agent_incarnation_)) continue;
    kernel_->Count(Sometimes::kJobUnknownToParent);
    answer.frame.add_unknown(job_key);
  }
  if (answer.frame.signalled_size() > 0 || answer.frame.unknown_size() > 0)
    main_->SendUp(std::move(answer));
  if (frame.has_end()) End(frame.end().how());
}

void ParentProgram::StartCall(internal::v1::StartJob job) {
  if (!keys_.Take(job.job_key(), agent_incarnation_)) {
    kernel_->Count(Sometimes::kJobSentTwice);
    return;
  }
  if (!job.thread()) return forks_waiting_.push_back(std::move(job));
  const uint64_t job_key = job.job_key();
  threads_[job_key].job = std::move(job);
  Step(5'000, [this, job_key] { RunThread(job_key); });
}

uint32_t ParentProgram::Reserve(const internal::v1::StartJob& job) {
  if (free_slots_.empty()) {
    kernel_->Count(Sometimes::kSlotsUsedUp);
    return kNoSlot;
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  StartSlot fresh;
  fresh.job_key = job.job_key();
  fresh.attempt = job.attempt();
  folder_->starts[slot] = fresh;
  folder_->areas[slot] = CallAreaFile{job.job_key(), 0, 0};
  return slot;
}

// Before the first byte can be written: the agent has the reader's ends.
void ParentProgram::Announce(const std::vector<uint64_t>& job_keys) {
  if (main_ == nullptr || main_->closed()) return;
  FromParent message;
  for (const uint64_t job_key : job_keys) {
    const auto kept = streams_.find(job_key);
    if (kept == streams_.end() || kept->second.sent) continue;
    kept->second.sent = true;
    internal::v1::Streams* const streams = message.frame.add_streams();
    streams->set_job_key(job_key);
    streams->set_output(true);
    message.pipes.push_back(kept->second.pipe);
  }
  if (!message.pipes.empty()) main_->SendUp(std::move(message));
}

std::unique_ptr<Program> ParentProgram::ProgramOf(const internal::v1::StartJob& job,
                                                  const ProcessRef& child, uint32_t slot,
                                                  const std::shared_ptr<Pipe>& pipe) {
  JobProgram::Start start;
  start.job_key = job.job_key();
  start.job_id = job.job_id();
  start.is_command = job.argv_size() > 0;
  start.folder = folder_;
  start.slot = slot;
  start.pipe = pipe;
  const std::weak_ptr<simulation::Process> parent = self_;
  start.executed = [this, parent, job, slot, pid = child->pid] {
    const ProcessRef process = parent.lock();
    if (process == nullptr || !process->alive || job.argv_size() == 0) return;
    kernel_->At(process, world_->random.Delay(1'000),
                [this, job, slot, pid] { OnExecuted(job, slot, pid); });
  };
  return std::make_unique<JobProgram>(world_, child, std::move(start));
}

// The launcher's thread: it sleeps from the clone to the exec.
void ParentProgram::LaunchNext() {
  if (launching_ || left_ || commands_waiting_.empty()) return;
  const uint32_t slot = Reserve(commands_waiting_.front().first);
  if (slot == kNoSlot) return;  // Tried again when one is free.
  const auto [job, agent] = std::move(commands_waiting_.front());
  commands_waiting_.pop_front();
  if (!keys_.Take(job.job_key(), agent)) {
    kernel_->Count(Sometimes::kJobSentTwice);
    free_slots_.push_back(slot);
    return LaunchNext();
  }
  launching_ = true;
  const auto pipe = std::make_shared<Pipe>();
  pipe->inode = world_->next_inode++;
  folder_->starts[slot].output_inode = folder_->starts[slot].error_inode = pipe->inode;
  streams_[job.job_key()].pipe = pipe;
  Announce({job.job_key()});
  Step(5'000, [this, job = job, slot, pipe] {
    const ProcessRef child = kernel_->Spawn(self()->pid, "job");
    child->is_brood = child->is_a_job = true;
    child->program = ProgramOf(job, child, slot, pipe);
  });
}

void ParentProgram::OnExecuted(const internal::v1::StartJob& job, uint32_t slot, int32_t pid) {
  const StartSlot& start = folder_->starts[slot];
  if (start.failed_step != 0) {
    kernel_->Reap(pid);
    Note note;
    note.kind = NoteKind::kFailedToStart;
    note.job_key = job.job_key();
    note.attempt = job.attempt();
    note.error_number = start.error_number;
    note.slot = kNoSlot;
    AddNote(note, std::string("exec\0cannot execute it", 22));
    Ring();
    streams_.erase(job.job_key());
    free_slots_.push_back(slot);
  } else {
    AddProcess(job, slot, pid);
    Ring();
  }
  launching_ = false;
  Step(1'000, [this] { LaunchNext(); });
}

void ParentProgram::ForkNext() {
  while (!left_ && !forks_waiting_.empty()) {
    const uint32_t slot = Reserve(forks_waiting_.front());
    if (slot == kNoSlot) return;
    const internal::v1::StartJob job = std::move(forks_waiting_.front());
    forks_waiting_.pop_front();
    const auto pipe = std::make_shared<Pipe>();
    pipe->inode = world_->next_inode++;
    folder_->starts[slot].output_inode = folder_->starts[slot].error_inode = pipe->inode;
    streams_[job.job_key()].pipe = pipe;
    Announce({job.job_key()});
    kernel_->KillPoint();
    const ProcessRef child = kernel_->Spawn(self()->pid, "job");
    child->is_brood = child->is_a_job = true;
    child->program = ProgramOf(job, child, slot, pipe);
    kernel_->KillPoint();
    AddProcess(job, slot, child->pid);
  }
  Ring();
}

void ParentProgram::AddProcess(const internal::v1::StartJob& job, uint32_t slot, int32_t pid) {
  kernel_->KillPoint();
  Note note;
  note.kind = NoteKind::kStarted;
  note.job_key = job.job_key();
  note.attempt = job.attempt();
  note.pid = note.tid = note.pgid = pid;
  note.ppid = self()->pid;
  const int64_t claimed_ns = folder_->starts[slot].start_ns;
  note.start_ns = claimed_ns != 0 ? claimed_ns : kernel_->now_ns();
  note.slot = slot;
  AddNote(note);
  Process process;
  process.attempt = job.attempt();
  process.slot = slot;
  process.pid = pid;
  processes_[job.job_key()] = process;
  kernel_->KillPoint();
  // It may have ended by now.
  const uint64_t job_key = job.job_key();
  Step(1'000, [this, job_key] { Reap(job_key); });
}

int ParentProgram::Signal(const internal::v1::SignalJob& signal) {
  const auto found = processes_.find(signal.job_key());
  if (found == processes_.end() || found->second.ended) return ESRCH;
  const int32_t pid = found->second.pid;
  const int number = signal.signal();
  if (signal.whole_group()) {
    kernel_->KillSession(pid, number, true);
  } else {
    kernel_->Kill(pid, number, true);
  }
  if (number == SIGSTOP || number == SIGCONT) {
    const uint64_t job_key = signal.job_key();
    Step(2'000, [this, job_key, pid, number] {
      const auto job = processes_.find(job_key);
      const ProcessRef process = kernel_->Find(pid);
      if (job == processes_.end() || job->second.ended || process == nullptr || !process->alive)
        return;
      Note note;
      note.kind = number == SIGSTOP ? NoteKind::kStopped : NoteKind::kContinued;
      note.status = number;
      note.job_key = job_key;
      note.pid = pid;
      AddNote(note);
      Ring();
    });
  }
  return 0;
}

void ParentProgram::OnChildEnded() {
  if (left_) return;
  for (const auto& [job_key, process] : processes_) {
    const uint64_t key = job_key;
    if (!process.ended) Step(1'000, [this, key] { Reap(key); });
  }
}

// Looks, notes, reaps.
void ParentProgram::Reap(uint64_t job_key) {
  const auto found = processes_.find(job_key);
  if (left_ || found == processes_.end() || found->second.ended) return;
  const ProcessRef child = kernel_->Find(found->second.pid);
  if (child == nullptr || child->alive) return;
  Note note;
  note.kind = NoteKind::kExited;
  note.job_key = job_key;
  note.attempt = found->second.attempt;
  note.pid = child->pid;
  note.slot = found->second.slot;
  note.code = child->code;
  note.status = child->status;
  for (const auto& [pid, other] : kernel_->processes()) {
    if (other->alive && other->session == child->pid) note.flags |= kGroupAlive;
  }
  kernel_->KillPoint();
  if (!TryNote(note)) {
    kernel_->At(self(), kRetryNanos, [this, job_key] { Reap(job_key); });
    return;
  }
  kernel_->KillPoint();
  kernel_->Reap(child->pid);
  found->second.ended = true;
  Ring();
  if (found->second.drained)
    kernel_->At(self(), kEarlyDrainedNanos, [this, job_key] { Forget(job_key); });
}

void ParentProgram::Drained(uint64_t job_key) {
  streams_.erase(job_key);
  const auto found = processes_.find(job_key);
  if (found == processes_.end() || found->second.drained) return;
  found->second.drained = true;
  if (found->second.ended) Forget(job_key);
}

void ParentProgram::Forget(uint64_t job_key) {
  free_slots_.push_back(processes_.at(job_key).slot);
  processes_.erase(job_key);
  Step(1'000, [this] {
    LaunchNext();
    ForkNext();
  });
}

bool ParentProgram::TryNote(Note note, const std::string& text) {
  note.boot_ns = kernel_->Now().boot.ns;
  note.wall_ns = kernel_->Now().wall.ns;
  // A later note must not overtake those that are kept.
  if (!world_->HasRoomFor(folder_->notes) || !held_notes_.empty()) return false;
  folder_->notes.notes.emplace_back(note, text);
  return true;
}

void ParentProgram::AddNote(const Note& note, const std::string& text) {
  if (TryNote(note, text)) return;
  kernel_->Count(Sometimes::kNoteHeld);
  Note stamped = note;
  stamped.boot_ns = kernel_->Now().boot.ns;
  stamped.wall_ns = kernel_->Now().wall.ns;
  held_notes_.emplace_back(stamped, text);
  Step(1'000, [this] { RetryNotes(); });
}

void ParentProgram::RetryNotes() {
  if (world_->disk.full) return kernel_->At(self(), kRetryNanos, [this] { RetryNotes(); });
  for (auto& held : held_notes_) folder_->notes.notes.push_back(std::move(held));
  held_notes_.clear();
  Ring();
}

void ParentProgram::Ring() {
  const auto bell = world_->parent_bells.find(key_);
  if (bell != world_->parent_bells.end()) bell->second();
}

void ParentProgram::End(int how) {
  Note note;
  note.kind = NoteKind::kParentEnding;
  note.status = how;
  note.slot = kNoSlot;
  AddNote(note);
  Ring();
  kernel_->KillPoint();
  world_->parents.erase(key_);
  left_ = true;
  commands_waiting_.clear();
  if (how == v1::PARENT_END_THREAD_EXIT) {
    kernel_->Count(Sometimes::kMainThreadLeaves);
    if (threads_.empty()) Kernel::ExitNow(CLD_EXITED, 0);
    return;
  }
  kernel_->Count(Sometimes::kParentToldToEnd);
  // The rest of this round, and what was begun in others, may still come before.
  Step(10'000, [how] {
    if (how == v1::PARENT_END_ABORT) Kernel::ExitNow(CLD_KILLED, SIGABRT);
    if (how == v1::PARENT_END_KILL) Kernel::ExitNow(CLD_KILLED, SIGKILL);
    Kernel::ExitNow(CLD_EXITED, 0);
  });
}

}  // namespace brood::simulation
