// SPDX-License-Identifier: Apache-2.0
//
// What an agent's core has asked for, and the output of its jobs.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>
#include <variant>

#include "agent/core/proto_time.h"
#include "tests/simulation/agent_program.h"

namespace brood::simulation {
namespace {

constexpr int64_t kOutputMarkNanos = 50'000'000;
constexpr int64_t kOutputSilenceNanos = 250'000'000;
constexpr int64_t kDiskRetryNanos = 100'000'000;

template <typename... F>
struct Cases : F... {
  using F::operator()...;
};
template <typename... F>
Cases(F...) -> Cases<F...>;

}  // namespace

void AgentProgram::OnEffects(const std::vector<Effect>& effects) {
  struct Dead {
    ~Dead() {
      if (!done) kernel->Count(Sometimes::kAgentKilledBeforeEffects);
    }
    Kernel* kernel;
    bool done = false;
  } dead{kernel_};
  for (const Effect& effect : effects) {
    kernel_->KillPoint();
    Do(effect);
  }
  dead.done = true;
}

void AgentProgram::Do(const Effect& effect) {
  const auto send = [this](const ParentKey& key,
                           const std::function<void(internal::v1::ToParent*)>& fill) {
    const std::shared_ptr<AgentLife> link = Link(key);
    if (link == nullptr) return;
    internal::v1::ToParent frame;
    fill(&frame);
    link->Send(std::move(frame));
  };
  std::visit(
      Cases{
          [&](const StartJobEffect& start) {
            kernel_->Say("start", {start.job.job_key(), start.job.attempt()}, start.job.job_id());
            const std::shared_ptr<AgentLife> link = Link(start.parent);
            if (link == nullptr) return;
            internal::v1::ToParent frame;
            *frame.mutable_start()->add_jobs() = start.job;
            if (start.job.task().empty()) {
              link->SendCommands(std::move(frame));
            } else {
              link->Send(std::move(frame));
            }
          },
          [&](const SignalJobEffect& signal) {
            if (!signal.parent_lives) return SignalByPid(signal);
            send(signal.parent, [&](internal::v1::ToParent* frame) {
              internal::v1::SignalJob* const one = frame->add_signals();
              one->set_job_key(signal.job_key);
              one->set_signal(signal.signal);
              one->set_whole_group(signal.whole_group);
            });
          },
          [&](const StopCallEffect& stop) {
            send(stop.parent,
                 [&](internal::v1::ToParent* frame) { frame->add_stop_calls(stop.job_key); });
          },
          [&](const AskKnownEffect& ask) {
            send(ask.parent, [&](internal::v1::ToParent* frame) {
              for (const uint64_t job_key : ask.job_keys) frame->add_ask_known(job_key);
            });
          },
          [&](const DrainedEffect& drained) {
            send(drained.parent,
                 [&](internal::v1::ToParent* frame) { frame->add_drained(drained.job_key); });
          },
          [&](const TreeEffect& tree) {
            At(world_->random.Delay(50'000), [this, tree] { LookAtTree(tree); });
          },
          [&](const AdopterEffect& orphan) {
            Later([this, orphan] { lives_.FindAdopters({orphan}); });
          },
          [&](const StartParentEffect& start) { Later([this, start] { Launch(start); }); },
          [&](const EndParentEffect& end) {
            send(end.parent,
                 [&](internal::v1::ToParent* frame) { frame->mutable_end()->set_how(end.how); });
          },
          [&](const KillParentEffect& kill) { Later([this, kill] { KillParent(kill.parent); }); },
          [&](const ForgetJobEffect& forget) { world_->disk.spool.erase(forget.job_key); },
      },
      effect);
}

void AgentProgram::Launch(const StartParentEffect& effect) {
  const ParentKey& key = effect.parent;
  if (std::exchange(asked_[key], supervisor_incarnation_) == supervisor_incarnation_) return;
  // What is there is of a start that nobody journaled.
  world_->disk.parents[key] = std::make_shared<ParentFolder>();
  links_[key] = std::make_shared<AgentLife>(world_, this, key);
  kernel_->KillPoint();
  ToSupervisor frame;
  frame.start = key;
  frame.call_slots = std::min(effect.call_slots, world_->weather.call_slots);
  supervisor_->SendDown(std::move(frame));
}

void AgentProgram::KillParent(const ParentKey& key) {
  ToSupervisor frame;
  frame.kill = key;
  supervisor_->SendDown(std::move(frame));
  Later([this, key] {
    const auto parent = core_->parents().find(key.name);
    if (parent == core_->parents().end() || parent->second.key != key) return;
    const v1::Unit& unit = parent->second.unit;
    if (kernel_->FindSame(unit.pid(), DurationNanos(unit.start())) != nullptr)
      kernel_->Kill(unit.pid(), SIGKILL, true);
  });
}

void AgentProgram::SignalByPid(const SignalJobEffect& effect) {
  SignalledFact fact{effect.job_key, effect.signal, effect.whole_group, 0};
  if (kernel_->FindSame(effect.pid, effect.start_ns) == nullptr) {
    fact.error_number = ESRCH;
  } else if (effect.whole_group) {
    kernel_->KillSession(effect.pid, effect.signal, true);
  } else {
    kernel_->Kill(effect.pid, effect.signal, true);
  }
  StepCore([&](Core& core, Instant now, Batch* batch) { core.OnSignalled(now, fact, batch); });
}

void AgentProgram::LookAtTree(const TreeEffect& tree) {
  if (tree.kill && tree.pid != 0) kernel_->KillSession(tree.pid, SIGKILL, true);
  kernel_->KillPoint();
  std::vector<v1::Unit> survivors;
  for (const auto& [pid, process] : kernel_->processes()) {
    if (process->session != tree.pid || !process->alive || pid == tree.pid) continue;
    v1::Unit& unit = survivors.emplace_back();
    unit.set_mode(v1::MODE_FORK);
    unit.set_pid(pid);
  }
  StepCore([&](Core& core, Instant now, Batch* batch) {
    core.OnTree(now, tree.job_key, survivors, batch);
  });
}

bool AgentProgram::ReopenStreams(uint64_t job_key, int32_t pid, const StartSlot& start) {
  const std::shared_ptr<Pipe> pipe = world_->FindPipeOf(pid, start.output_inode);
  if (pipe == nullptr) return false;
  kernel_->Count(Sometimes::kStreamsReopened);
  Attach(job_key, pipe);
  return true;
}

void AgentProgram::Attach(uint64_t job_key, const std::shared_ptr<Pipe>& pipe) {
  Stream& stream = streams_[job_key];
  stream = Stream();
  stream.pipe = pipe;
  Tell(job_key);
  At(world_->random.Delay(100'000), [this, job_key] { Drain(job_key); });
}

void AgentProgram::Drain(uint64_t job_key) {
  const auto found = streams_.find(job_key);
  if (found == streams_.end() || found->second.pipe == nullptr) return;
  Pipe& pipe = *found->second.pipe;
  if (!pipe.bytes.empty() && !world_->disk.full) {
    world_->disk.spool[job_key] += pipe.bytes;
    pipe.bytes.clear();
    kernel_->KillPoint();
    At(world_->random.Between(0, kOutputMarkNanos), [this, job_key] { Tell(job_key); });
  }
  if (!pipe.bytes.empty()) At(kDiskRetryNanos, [this, job_key] { Drain(job_key); });
  CloseIfEnded(job_key);
}

// What is kept, also by an agent before this one.
void AgentProgram::Tell(uint64_t job_key) {
  const auto found = streams_.find(job_key);
  const auto kept = world_->disk.spool.find(job_key);
  if (found == streams_.end() || kept == world_->disk.spool.end()) return;
  const uint64_t told = std::exchange(found->second.told, kept->second.size());
  if (told == kept->second.size()) return;
  StepCore([&](Core& core, Instant now, Batch* batch) {
    core.OnOutput(now, job_key, v1::STREAM_STDOUT, told, kept->second.size() - told, batch);
  });
}

void AgentProgram::Finish(uint64_t job_key) {
  const auto found = streams_.find(job_key);
  if (found == streams_.end()) {
    if (world_->disk.spool.count(job_key) == 0) {
      v1::OutputClosed closed;
      closed.set_may_be_cut(lives_.TakeMaybeCut(job_key));
      StepCore([&](Core& core, Instant now, Batch* batch) {
        core.OnOutputClosed(now, job_key, closed, batch);
      });
      return;
    }
    streams_[job_key] = Stream();
  }
  if (std::exchange(streams_[job_key].finishing, true)) return;
  Drain(job_key);
  if (streams_.count(job_key) == 0) return;
  At(kOutputSilenceNanos, [this, job_key] {
    const auto stream = streams_.find(job_key);
    if (stream == streams_.end()) return;
    stream->second.silent = true;
    Drain(job_key);
  });
  CloseIfEnded(job_key);
}

void AgentProgram::CloseIfEnded(uint64_t job_key) {
  const auto found = streams_.find(job_key);
  if (found == streams_.end() || !found->second.finishing) return;
  const std::shared_ptr<Pipe> pipe = found->second.pipe;
  const bool held = pipe != nullptr && pipe->writers > 0;
  if (pipe != nullptr && !pipe->bytes.empty()) return;  // The disk is full.
  if (held && !found->second.silent) return;
  Tell(job_key);
  v1::OutputClosed closed;
  closed.set_stdout_bytes(found->second.told);
  closed.set_held_open(held);
  closed.set_may_be_cut(lives_.TakeMaybeCut(job_key));
  if (closed.may_be_cut()) kernel_->Count(Sometimes::kStreamsLost);
  streams_.erase(found);
  StepCore([&](Core& core, Instant now, Batch* batch) {
    core.OnOutputClosed(now, job_key, closed, batch);
  });
}

}  // namespace brood::simulation
