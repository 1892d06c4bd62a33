// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/supervisor_program.h"

#include <sys/wait.h>

#include <csignal>
#include <utility>
#include <variant>

#include "common/base/protocol.h"
#include "tests/simulation/parent_program.h"

namespace brood::simulation {
namespace {

constexpr int64_t kRetryNanos = 200'000'000;

}  // namespace

SupervisorProgram::SupervisorProgram(World* world, const ProcessRef& self, uint64_t incarnation)
    : world_(world),
      kernel_(&world->kernel),
      self_(self),
      incarnation_(incarnation),
      notes_(std::make_shared<NotesFile>()) {
  world_->disk.supervisors[incarnation] = notes_;
}

SupervisorProgram::~SupervisorProgram() {
  world_->supervisors_died = true;
  for (const auto& [id, wire] : wires_) wire->Close();
  for (const Started& started : starts_) {
    const ProcessRef parent = started.parent;
    kernel_->At(parent, 1'000,
                [parent] { static_cast<ParentProgram*>(parent->program.get())->OnGo(false); });
  }
}

void SupervisorProgram::Accept(const std::shared_ptr<SupervisorWire>& wire) {
  const ConnectionId id = next_++;
  wires_[id] = wire;
  wire->wake_peer = [this, id] { OnFrames(id); };
  OnFrames(id);
}

void SupervisorProgram::OnFrames(ConnectionId id) {
  const auto found = wires_.find(id);
  if (found == wires_.end()) return;
  const std::shared_ptr<SupervisorWire> wire = found->second;
  ToSupervisor frame;
  while (wire->TakeDown(&frame)) {
    if (frame.hello != 0) Step(HelloArrived{id, kProtocolVersion, frame.hello});
    if (!frame.start.name.empty()) {
      ParentRequest request;
      request.name = frame.start.name;
      request.incarnation = frame.start.incarnation;
      request.directory = request.socket_path = "there";
      request.call_slots = frame.call_slots;
      Step(StartArrived{id, request});
    }
    if (!frame.kill.name.empty()) Step(KillArrived{id, frame.kill.name, frame.kill.incarnation});
    kernel_->KillPoint();
  }
  if (!wire->closed() || wires_.erase(id) == 0) return;
  Step(ConnectionLost{id});
}

void SupervisorProgram::Step(const SupervisorInput& input) {
  for (const SupervisorEffect& effect : core_.Step(input))
    std::visit([this](const auto& one) { Do(one); }, effect);
}

void SupervisorProgram::Do(const Welcome& effect) {
  wires_.at(effect.connection)->SendUp(FromSupervisor());
}

void SupervisorProgram::Do(const Drop& effect) {
  kernel_->Count(Sometimes::kAgentFenced);
  const auto found = wires_.find(effect.connection);
  if (found == wires_.end()) return;
  found->second->Close();
  wires_.erase(found);
  Step(ConnectionLost{effect.connection});
}

void SupervisorProgram::Do(const LaunchParent& effect) {
  const ParentKey key{effect.request.name, effect.request.incarnation};
  const ProcessRef parent = kernel_->Spawn(self()->pid, "parent");
  parent->is_brood = true;
  parent->program = std::make_unique<ParentProgram>(world_, parent, key, effect.request.call_slots);
  kernel_->Say("launches", {static_cast<uint64_t>(parent->pid), key.incarnation}, key.name);
  Started& started = starts_.emplace_back();
  started.parent = parent;
  started.name = key.name;
  Note& note = started.note;
  note.kind = NoteKind::kParentStarted;
  note.pid = parent->pid;
  note.ppid = self()->pid;
  note.start_ns = kernel_->now_ns();
  note.job_key = key.incarnation;
  kernel_->KillPoint();
  Step(ParentLaunched{RunningParent{key.name, key.incarnation, parent->pid, "there", "there"}});
  if (!WriteStarts()) kernel_->At(self(), kRetryNanos, [this] { WaitForChildren(); });
}

// A parent is let go once its start is noted.
bool SupervisorProgram::WriteStarts() {
  while (!starts_.empty()) {
    if (!Append(starts_.front().note, starts_.front().name)) return false;
    kernel_->KillPoint();
    const ProcessRef parent = starts_.front().parent;
    starts_.erase(starts_.begin());
    kernel_->At(parent, world_->random.Delay(20'000),
                [parent] { static_cast<ParentProgram*>(parent->program.get())->OnGo(true); });
  }
  return true;
}

void SupervisorProgram::Do(const RefuseParent& effect) {
  const auto found = wires_.find(effect.connection);
  if (found == wires_.end()) return;
  FromSupervisor frame;
  frame.failed = ParentKey{effect.name, effect.incarnation};
  found->second->SendUp(std::move(frame));
}

void SupervisorProgram::Do(const KillChild& effect) { kernel_->Kill(effect.pid, SIGKILL, true); }

void SupervisorProgram::Do(const NoteEnd& effect) {
  ended_.kind = effect.name.empty() ? NoteKind::kOrphanExited : NoteKind::kParentEnded;
  ended_.job_key = effect.incarnation;
  if (effect.name.empty()) kernel_->Count(Sometimes::kOrphanWaitedFor);
  noted_ = Append(ended_, effect.name);
}

void SupervisorProgram::Do(const End&) {}

// Looks, notes, reaps; an orphan's parent first.
void SupervisorProgram::WaitForChildren() {
  if (!WriteStarts()) return kernel_->At(self(), kRetryNanos, [this] { WaitForChildren(); });
  for (;;) {
    int32_t pid = kernel_->FindZombieOf(self()->pid);
    if (pid == 0) return;
    if (core_.parents().count(pid) == 0) {
      for (const auto& [parent_pid, parent] : core_.parents()) {
        const ProcessRef process = kernel_->Find(parent_pid);
        if (process == nullptr || process->alive) continue;
        pid = parent_pid;
        break;
      }
    }
    const ProcessRef child = kernel_->Find(pid);
    ended_ = Note();
    ended_.pid = pid;
    ended_.ppid = self()->pid;
    ended_.code = child->code;
    ended_.status = child->status;
    ended_.start_ns = child->start_ns / Kernel::kTickNanos * Kernel::kTickNanos;
    noted_ = false;
    kernel_->KillPoint();
    Step(ChildEnded{pid});
    if (!noted_) return kernel_->At(self(), kRetryNanos, [this] { WaitForChildren(); });
    kernel_->KillPoint();
    kernel_->Reap(pid);
    Step(ChildReaped{pid});
    kernel_->KillPoint();
  }
}

bool SupervisorProgram::Append(Note note, const std::string& text) {
  if (!world_->HasRoomFor(*notes_)) {
    kernel_->Count(Sometimes::kNoteHeld);
    return false;
  }
  note.boot_ns = kernel_->Now().boot.ns;
  note.wall_ns = kernel_->Now().wall.ns;
  notes_->notes.emplace_back(note, text);
  if (world_->supervisor_bell) world_->supervisor_bell();
  return true;
}

}  // namespace brood::simulation
