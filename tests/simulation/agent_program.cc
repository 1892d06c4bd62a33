// SPDX-License-Identifier: Apache-2.0
//
// An agent's start, its loop, and what it asks of the host about lives of parents.
#include "tests/simulation/agent_program.h"

#include <sys/wait.h>

#include <utility>

#include "tests/simulation/job_program.h"
#include "tests/simulation/supervisor_program.h"

namespace brood::simulation {
namespace {

// As agent/host has them.
constexpr int kDefaultStarts = 2;
constexpr int64_t kAdoptNanos = 5'000'000'000;
constexpr int64_t kLookNanos = 20'000'000;
constexpr int kLooks = 50;
constexpr int64_t kConnectRetryNanos = 2'000'000;
constexpr int kConnectAttempts = 5'000;

WaitStatus StatusOf(const Process& process) {
  WaitStatus status;
  if (process.code == CLD_EXITED) status.exit_code = process.status;
  if (process.code == CLD_KILLED) status.signal = process.status;
  return status;
}

}  // namespace

AgentProgram::AgentProgram(World* world, const ProcessRef& self)
    : world_(world), kernel_(&world->kernel), self_(self) {
  world_->agent_program = this;
}

AgentProgram::~AgentProgram() {
  if (!serves_) kernel_->Count(Sometimes::kAgentKilledInRecovery);
  if (supervisor_ != nullptr) supervisor_->Close();
  world_->supervisor_bell = nullptr;
  world_->pipe_bell = nullptr;
  links_.clear();
  world_->agent_program = nullptr;
}

void AgentProgram::Start() {
  const std::string boot_id = "boot" + std::to_string(kernel_->boots());
  journal_ = std::make_unique<AgentJournal>(world_, boot_id);
  incarnation_ = ++world_->disk.agent_incarnation;
  kernel_->KillPoint();
  CoreOptions options;
  options.host = "host1";
  options.boot_id = boot_id;
  options.agent_incarnation = incarnation_;
  options.process_slots = world_->weather.process_slots;
  options.thread_slots = world_->weather.thread_slots;
  options.queue_limit = 1'000;
  core_ = std::make_unique<Core>(options);
  v1::Event event;
  journal_->Read(0, [&](uint64_t cursor, uint64_t job_key, std::string_view payload) {
    event.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
    core_->Replay(cursor, job_key, event);
    return true;
  });
  sequencer_ = std::make_unique<AgentSequencer>(world_, this, core_.get(), journal_.get());
  StepCore([](Core& core, Instant now, Batch* batch) { core.EndReplay(now, batch); });
  OpenSupervisor();
  const ProcessRef self = process();
  world_->supervisor_bell = [this, self] {
    kernel_->At(self, world_->random.Delay(2'000),
                [this] { InLoop([this] { ReadSupervisorNotes(); }); });
  };
  world_->pipe_bell = [this, self](uint64_t job_key) {
    kernel_->At(self, world_->random.Delay(20'000),
                [this, job_key] { InLoop([this, job_key] { Drain(job_key); }); });
  };
  kernel_->KillPoint();
  adopted_ = lives_.AdoptFound();
  kernel_->KillPoint();
  sequencer_->Commit();
  At(1'000, [this] { AwaitDefault(); });
}

// The life that is found may be at its end; the next is tried once.
void AgentProgram::AwaitDefault() {
  if (++default_starts_ > kDefaultStarts) return Kernel::ExitNow(CLD_EXITED, 1);
  Status refused;
  StepCore([&](Core& core, Instant now, Batch* batch) {
    const Result<ParentKey> key = core.StartParent(now, kDefaultParent, {}, batch);
    if (key) {
      default_ = *key;
    } else {
      refused = key.error();
    }
  });
  if (refused && refused->reason != "PARENT_ENDING") Kernel::ExitNow(CLD_EXITED, 1);
  if (refused) serves_ = true;
  serving_asked_ = true;
}

bool AgentProgram::AdoptedAnswered() const {
  for (const ParentKey& key : adopted_) {
    if (!core_->IsOver(key) && core_->parents().at(key.name).state == v1::PARENT_STATE_STARTING)
      return false;
  }
  return true;
}

void AgentProgram::EndRound() {
  std::vector<uint64_t> ended;
  StepCore([&](Core& core, Instant, Batch*) { ended = core.TakeEnded(); });
  for (const uint64_t job_key : ended) {
    Finish(job_key);
    lives_.OnJobEnded(job_key);
  }
  sequencer_->Commit();
  if (!serves_ && serving_asked_) {
    const bool over = core_->IsOver(default_);
    if (over) {
      serving_asked_ = false;
      At(1'000, [this] { AwaitDefault(); });
    } else if (core_->parents().at(kDefaultParent).state == v1::PARENT_STATE_RUNNING) {
      if (adopt_until_ns_ == 0) adopt_until_ns_ = kernel_->now_ns() + kAdoptNanos;
      serves_ = AdoptedAnswered() || kernel_->now_ns() >= adopt_until_ns_;
      if (!serves_) At(100'000'000, [] {});
    }
  }
  if (!sequencer_->AllCommitted() || core_->HoldsEarlyOrphans()) return;
  const auto notes = world_->disk.supervisors.find(supervisor_incarnation_);
  if (notes != world_->disk.supervisors.end()) supervisor_notes_.Release(notes->second.get());
  kernel_->KillPoint();
  for (const std::function<void()>& remove : std::exchange(spent_, {})) {
    remove();
    kernel_->KillPoint();
  }
  for (const auto& [key, link] : links_) link->ReleaseNotes();
}

void AgentProgram::InLoop(absl::FunctionRef<void()> act) {
  act();
  kernel_->KillPoint();
  EndRound();
}

void AgentProgram::At(int64_t delay_ns, std::function<void()> act) {
  kernel_->At(process(), delay_ns, [this, act = std::move(act)] { InLoop(act); });
}

void AgentProgram::Later(std::function<void()> act) {
  At(world_->random.Delay(2'000), std::move(act));
}

void AgentProgram::Call(absl::FunctionRef<void(Core&, Instant, Batch*)> step, bool on_disk,
                        AgentSequencer::Done done) {
  sequencer_->Step(step, on_disk, std::move(done));
  kernel_->KillPoint();
  sequencer_->Commit();
}

void AgentProgram::OnDeadline(int64_t boot_ns) {
  const uint64_t number = ++deadline_;
  if (boot_ns == INT64_MAX) return;
  At(std::max<int64_t>(boot_ns - kernel_->now_ns(), 0), [this, number] {
    if (number != deadline_) return;
    StepCore([](Core& core, Instant now, Batch* batch) { core.OnTime(now, batch); });
  });
}

void AgentProgram::StepCore(absl::FunctionRef<void(Core&, Instant, Batch*)> step) {
  sequencer_->Step(step);
}

void AgentProgram::LookAtCore(absl::FunctionRef<void(const Core&)> look) const { look(*core_); }

void AgentProgram::OpenSupervisor() {
  ProcessRef process = world_->supervisor;
  if (process == nullptr || !process->alive) {
    // Double fork: it belongs to nobody.
    process = kernel_->Spawn(Kernel::kInit, "supervisor");
    process->is_brood = process->subreaper = true;
    const auto& folders = world_->disk.supervisors;
    const uint64_t next = folders.empty() ? 1 : folders.rbegin()->first + 1;
    process->program = std::make_unique<SupervisorProgram>(world_, process, next);
    world_->supervisor = process;
    kernel_->KillPoint();
  }
  auto* const program = static_cast<SupervisorProgram*>(process->program.get());
  supervisor_pid_ = process->pid;
  supervisor_incarnation_ = program->incarnation();
  supervisor_notes_ = NotesReader();
  supervisor_ = std::make_shared<SupervisorWire>(kernel_, this->process(), process);
  supervisor_->wake_agent = [this] { InLoop([this] { OnSupervisorFrames(); }); };
  ToSupervisor hello;
  hello.hello = incarnation_;
  supervisor_->SendDown(std::move(hello));
  program->Accept(supervisor_);
}

void AgentProgram::OnSupervisorFrames() {
  FromSupervisor frame;
  while (supervisor_->TakeUp(&frame)) {
    if (frame.failed.name.empty()) continue;
    StepCore([&](Core& core, Instant now, Batch* batch) {
      core.OnParentFailed(now, frame.failed, "refused", batch);
    });
  }
  if (!supervisor_->closed() || supervisor_pid_ == 0) return;
  ReadSupervisorNotes();
  supervisor_pid_ = 0;
  Later([this] { ReplaceSupervisor(); });
}

void AgentProgram::ReplaceSupervisor() {
  kernel_->Count(Sometimes::kSupervisorReplaced);
  OpenSupervisor();
  kernel_->KillPoint();
  lives_.OnSupervisorReplaced();
}

void AgentProgram::ReadSupervisorNotes() {
  const auto notes = world_->disk.supervisors.find(supervisor_incarnation_);
  if (notes == world_->disk.supervisors.end()) return;
  const std::shared_ptr<NotesFile> file = notes->second;
  supervisor_notes_.Read(*file, [this](const Note& note, const std::string& text) {
    lives_.OnSupervisorNote(note, text);
    kernel_->KillPoint();
  });
}

void AgentProgram::ReadOlderSupervisorNotes() {
  const std::map<uint64_t, std::shared_ptr<NotesFile>> folders = world_->disk.supervisors;
  for (const auto& [number, file] : folders) {
    if (number == supervisor_incarnation_) continue;
    NotesReader().Read(*file, [this](const Note& note, const std::string& text) {
      kernel_->Count(Sometimes::kOlderNotesRead);
      lives_.OnSupervisorNote(note, text);
      kernel_->KillPoint();
    });
    spent_.emplace_back([this, number = number] { world_->disk.supervisors.erase(number); });
  }
}

bool AgentProgram::HoldsOtherBoot() { return world_->disk.folders_boot != kernel_->boots(); }

void AgentProgram::DropOtherBoot() {
  if (!world_->disk.parents.empty()) kernel_->Count(Sometimes::kOtherBootEnded);
  std::erase_if(world_->disk.supervisors,
                [this](const auto& entry) { return entry.first != supervisor_incarnation_; });
  kernel_->KillPoint();
  world_->disk.parents.clear();
  kernel_->KillPoint();
  world_->disk.folders_boot = kernel_->boots();
}

std::optional<int32_t> AgentProgram::FindParentOf(int32_t pid, int64_t start_ns) const {
  const ProcessRef found = kernel_->FindSame(pid, start_ns);
  return found == nullptr ? std::nullopt : std::optional<int32_t>(found->ppid);
}

std::string AgentProgram::NameOf(int32_t pid) const {
  const ProcessRef found = kernel_->Find(pid);
  return found == nullptr ? "" : found->name;
}

bool AgentProgram::WatchStranger(int32_t pid, int64_t start_ns,
                                 std::function<void(const WaitStatus&)> ended) {
  const ProcessRef stranger = kernel_->FindSame(pid, start_ns);
  if (stranger == nullptr) return false;
  if (!strangers_.insert(stranger).second) return true;
  kernel_->Count(Sometimes::kStrangerWatched);
  LookAtStranger(stranger, 0, ended);
  return true;
}

// The status is what the kernel tells once somebody has waited for it.
void AgentProgram::LookAtStranger(const ProcessRef& stranger, int looks,
                                  const std::function<void(const WaitStatus&)>& ended) {
  const bool told = stranger->reaped && world_->weather.kernel_tells_status;
  if (stranger->alive || (!told && looks < kLooks)) {
    const int next = stranger->alive ? 0 : looks + 1;
    return At(kLookNanos, [this, stranger, next, ended] { LookAtStranger(stranger, next, ended); });
  }
  if (!told) kernel_->Count(Sometimes::kStatusUnknown);
  strangers_.erase(stranger);
  ended(told ? StatusOf(*stranger) : WaitStatus());
}

std::shared_ptr<AgentLife> AgentProgram::Link(const ParentKey& key) const {
  const auto found = links_.find(key);
  return found == links_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Life>> AgentProgram::ListLives() const {
  std::vector<std::shared_ptr<Life>> lives;
  for (const auto& [key, link] : links_) lives.push_back(link);
  return lives;
}

std::shared_ptr<Life> AgentProgram::OpenLife(const ParentKey& key) {
  kernel_->Count(Sometimes::kLifeAdopted);
  auto link = std::make_shared<AgentLife>(world_, this, key);
  links_[key] = link;
  return link;
}

void AgentProgram::CloseLife(const ParentKey& key) { world_->parents.erase(key); }

void AgentProgram::DropLife(const ParentKey& key) {
  asked_.erase(key);
  const auto found = links_.find(key);
  if (found != links_.end()) {
    found->second->Shut();
    links_.erase(found);
  }
  spent_.emplace_back([this, key] { world_->disk.parents.erase(key); });
}

void AgentProgram::Connect(const ParentKey& key, int attempt) {
  const std::shared_ptr<AgentLife> link = Link(key);
  if (link == nullptr || link->was_connected() || link->TryConnect()) return;
  if (attempt >= kConnectAttempts) return;
  At(kConnectRetryNanos, [this, key, attempt] { Connect(key, attempt + 1); });
}

}  // namespace brood::simulation
