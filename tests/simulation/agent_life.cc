// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/agent_life.h"

#include "agent/host/parent_notes.h"
#include "tests/simulation/agent_program.h"
#include "tests/simulation/parent_program.h"

namespace brood::simulation {

AgentLife::AgentLife(World* world, AgentProgram* agent, ParentKey key)
    : world_(world), agent_(agent), key_(std::move(key)) {}

void AgentLife::Shut() {
  if (main_ != nullptr) main_->Close();
  if (commands_ != nullptr) commands_->Close();
  if (was_connected_) world_->parent_bells.erase(key_);
}

ParentFolder* AgentLife::folder() const {
  const auto found = world_->disk.parents.find(key_);
  return found == world_->disk.parents.end() ? nullptr : found->second.get();
}

void AgentLife::ReadNotes() {
  if (ParentFolder* const files = folder()) {
    reader_.Read(files->notes, [this](const Note& note, const std::string& text) {
      notes_.emplace_back(note, text);
    });
  }
  // A job's streams are sent before the note of its end.
  Receive();
  for (const auto& [note, text] : std::exchange(notes_, {})) {
    agent_->StepCore([&, &one = note, &words = text](Core& core, Instant, Batch* batch) {
      TakeParentNote(*this, one, words, &core, batch);
    });
    world_->kernel.KillPoint();
  }
}

std::vector<StartSlot> AgentLife::TakeStarts(
    const std::function<bool(uint64_t job_key)>& is_started) {
  ParentFolder* const files = folder();
  if (files == nullptr || !files->has_slots) return {};
  std::vector<StartSlot> starts;
  for (StartSlot& slot : files->starts) {
    if (slot.claim == kUnclaimed && !is_started(slot.job_key)) slot.claim = kRevoked;
    starts.push_back(slot);
  }
  return starts;
}

std::vector<StartSlot> AgentLife::ReadStarts() const {
  const ParentFolder* const files = folder();
  return files == nullptr ? std::vector<StartSlot>() : files->starts;
}

CallFacts AgentLife::ReadCall(uint64_t job_key, uint32_t slot) const {
  CallFacts facts;
  const ParentFolder* const files = folder();
  if (files == nullptr || slot >= files->areas.size()) return facts;
  const CallAreaFile& area = files->areas[slot];
  if (area.job_key != job_key || area.result == 0) return facts;
  facts.result.emplace().returned.emplace().set_int_value(area.value);
  return facts;
}

uint64_t AgentLife::CulpritJobKey() const {
  const ParentFolder* const files = folder();
  return files != nullptr && files->last_words.committed == 1 ? files->last_words.culprit_job_key
                                                              : 0;
}

bool AgentLife::TryConnect() {
  const auto listening = world_->parents.find(key_);
  if (listening == world_->parents.end()) return false;
  const ProcessRef parent = listening->second;
  Kernel* const kernel = &world_->kernel;
  for (const bool commands : {false, true}) {
    const auto wire = std::make_shared<ParentWire>(kernel, agent_->process(), parent);
    wire->wake_agent = [weak = weak_from_this(), agent = agent_] {
      agent->InLoop([&weak] {
        if (const auto life = weak.lock()) life->Receive();
      });
    };
    (commands ? commands_ : main_) = wire;
    kernel->At(
        parent, world_->random.Delay(5'000),
        [parent, wire, commands, incarnation = agent_->incarnation()] {
          static_cast<ParentProgram*>(parent->program.get())->Accept(wire, incarnation, commands);
        });
    kernel->KillPoint();
  }
  was_connected_ = true;
  return true;
}

void AgentLife::Receive() {
  FromParent message;
  while (main_ != nullptr && main_->TakeUp(&message)) {
    OnFrame(message);
    world_->kernel.KillPoint();
  }
}

void AgentLife::OnFrame(const FromParent& message) {
  const internal::v1::FromParent& frame = message.frame;
  if (frame.bells()) {
    const ProcessRef process = agent_->process();
    const auto ring = [weak = weak_from_this(), process, agent = agent_, world = world_] {
      if (!process->alive) return;
      world->kernel.At(process, world->random.Delay(2'000), [weak, agent] {
        agent->InLoop([&weak] {
          if (const auto life = weak.lock()) life->ReadNotes();
        });
      });
    };
    world_->parent_bells[key_] = ring;
    ring();
  }
  if (frame.has_tasks()) {
    has_answered_ = true;
    v1::Task task;
    task.set_name(kTask);
    task.set_result(v1::VALUE_TYPE_INT);
    agent_->StepCore([&](Core& core, Instant now, Batch* batch) {
      core.OnParentReady(now, key_, {task}, {"sim"}, batch);
    });
  }
  for (int i = 0; i < frame.streams_size(); ++i)
    agent_->Attach(frame.streams(i).job_key(), message.pipes[static_cast<size_t>(i)]);
  for (const internal::v1::Signalled& signalled : frame.signalled()) {
    agent_->StepCore([&](Core& core, Instant now, Batch* batch) {
      core.OnSignalled(now,
                       SignalledFact{signalled.job_key(), signalled.signal(),
                                     signalled.whole_group(), signalled.error_number()},
                       batch);
    });
  }
  if (frame.unknown_size() > 0) {
    agent_->StepCore([&](Core& core, Instant now, Batch* batch) {
      core.OnUnknownToParent(now, key_, {frame.unknown().begin(), frame.unknown().end()}, batch);
    });
  }
}

void AgentLife::Send(internal::v1::ToParent frame) {
  if (main_ != nullptr) main_->SendDown(std::move(frame));
}

void AgentLife::SendCommands(internal::v1::ToParent frame) {
  if (commands_ != nullptr) commands_->SendDown(std::move(frame));
}

void AgentLife::ReleaseNotes() {
  if (ParentFolder* const files = folder()) reader_.Release(&files->notes);
}

}  // namespace brood::simulation
