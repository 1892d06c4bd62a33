// SPDX-License-Identifier: Apache-2.0
//
// The agent's effects: jobs to parents, parents to the supervisor, and what the
// supervisor tells back.
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <optional>
#include <utility>

#include "agent/core/proto_time.h"
#include "agent/core/spec_frame.h"
#include "agent/host/agent.h"
#include "agent/host/default_environment.h"
#include "agent/process/process_table.h"
#include "common/base/failpoint.h"
#include "common/base/paths.h"
#include "common/base/pidfd_status.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// Jobs a frame takes: their pipes must fit the parent's answer (two descriptors
// each, three with input), and their specs the frame.
constexpr int kJobsPerFrame = 60;
constexpr size_t kFrameSpecBytes = 1 << 20;

// A parent listens within milliseconds; a library's start may take longer.
constexpr int64_t kConnectRetryNanos = 2'000'000;
constexpr int kConnectAttempts = 5'000;

// The frames of one life within one round of effects.
struct Outgoing {
  std::shared_ptr<ParentLink> link;
  internal::v1::ToParent main;
  internal::v1::ToParent commands;
  size_t bytes = 0;

  void Flush() {
    if (link == nullptr) return;
    if (commands.start().jobs_size() + main.start().jobs_size() > 0) Failpoint("start.untold");
    if (commands.start().jobs_size() > 0) link->SendCommands(commands);
    if (main.start().jobs_size() > 0 || main.signals_size() > 0 || main.stop_calls_size() > 0 ||
        main.drained_size() > 0 || main.ask_known_size() > 0) {
      link->Send(main);
    }
    commands.Clear();
    main.Clear();
    bytes = 0;
  }
};

template <typename... F>
struct Cases : F... {
  using F::operator()...;
};
template <typename... F>
Cases(F...) -> Cases<F...>;

}  // namespace

std::shared_ptr<ParentLink> Agent::Link(const ParentKey& key) const {
  const absl::MutexLock lock(&links_mutex_);
  const auto found = links_.find(key);
  return found == links_.end() ? nullptr : found->second;
}

std::string Agent::ParentDirectory(const ParentKey& key) const {
  return options_.state_directory + "/parents/" + key.name + "-" + std::to_string(key.incarnation);
}

std::string Agent::ParentSocket(const ParentKey& key) const {
  return options_.runtime_directory + "/p-" + key.name + "-" + std::to_string(key.incarnation) +
         ".sock";
}

void Agent::OnEffects(std::vector<Effect> effects) {
  std::map<ParentKey, Outgoing> outgoing;
  const auto to = [&](const ParentKey& key) -> Outgoing& {
    Outgoing& out = outgoing[key];
    if (out.link == nullptr) out.link = Link(key);
    return out;
  };
  std::vector<AdopterEffect> orphans;
  for (Effect& effect : effects) {
    std::visit(
        Cases{
            [&](StartJobEffect& start) {
              if (!PrepareOutput(&start) || !PrepareLimits(&start)) return;
              Outgoing& out = to(start.parent);
              internal::v1::ToParent& frame = start.job.task().empty() ? out.commands : out.main;
              out.bytes += start.job.ByteSizeLong();
              frame.mutable_start()->mutable_jobs()->Add(std::move(start.job));
              if (frame.start().jobs_size() >= kJobsPerFrame || out.bytes > kFrameSpecBytes)
                out.Flush();
            },
            [&](SignalJobEffect& signal) {
              if (!signal.parent_lives) return SignalByPid(signal);
              Outgoing& out = to(signal.parent);
              internal::v1::SignalJob* const frame = out.main.add_signals();
              frame->set_job_key(signal.job_key);
              frame->set_signal(signal.signal);
              frame->set_whole_group(signal.whole_group);
            },
            [&](StopCallEffect& stop) { to(stop.parent).main.add_stop_calls(stop.job_key); },
            [&](AskKnownEffect& ask) {
              for (const uint64_t job_key : ask.job_keys)
                to(ask.parent).main.add_ask_known(job_key);
            },
            [&](DrainedEffect& drained) { to(drained.parent).main.add_drained(drained.job_key); },
            [&](TreeEffect& tree) { trees_->Add(std::move(tree)); },
            [&](AdopterEffect& orphan) { orphans.push_back(orphan); },
            [&](StartParentEffect& start) {
              loop_->Post([this, start = std::move(start)] { LaunchParent(start); });
            },
            [&](EndParentEffect& end) {
              if (const std::shared_ptr<ParentLink> link = Link(end.parent)) {
                internal::v1::ToParent frame;
                frame.mutable_end()->set_how(end.how);
                link->Send(frame);
              }
            },
            [&](KillParentEffect& kill) { loop_->Post([this, kill] { KillParent(kill.parent); }); },
            [&](ForgetJobEffect& forget) { spool_->Remove(forget.job_key); },
        },
        effect);
  }
  for (auto& entry : outgoing) entry.second.Flush();
  if (!orphans.empty()) {
    loop_->Post([this, orphans = std::move(orphans)] { lives_.FindAdopters(orphans); });
  }
}

void Agent::SignalByPid(const SignalJobEffect& effect) {
  // Its parent is gone, so nobody but the supervisor can reap it. The pid may be
  // somebody else's by now: hold it, then compare its start.
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, effect.pid, 0)));
  SignalledFact fact{effect.job_key, effect.signal, effect.whole_group, 0};
  if (!pidfd || !IsSameProcess(effect.pid, effect.start_ns)) {
    fact.error_number = ESRCH;
  } else if (effect.whole_group) {
    fact.error_number = SignalGroupOf(pidfd.get(), effect.pid, effect.signal);
  } else if (::syscall(SYS_pidfd_send_signal, pidfd.get(), effect.signal, nullptr, 0) != 0) {
    fact.error_number = errno;
  }
  sequencer_->Step(
      [&](Core& core, Instant now, Batch* batch) { core.OnSignalled(now, fact, batch); });
}

void Agent::KillParent(const ParentKey& key) {
  internal::v1::ToSupervisor frame;
  frame.mutable_kill()->set_name(key.name);
  frame.mutable_kill()->set_incarnation(key.incarnation);
  supervisor_->Send(frame);
  // One that it did not start it does not know. Not at once: the caller may be looking at the core.
  loop_->Post([this, key] { KillStranger(key); });
}

void Agent::KillStranger(const ParentKey& key) {
  int32_t pid = 0;
  int64_t start_ns = 0;
  sequencer_->Look([&](const Core& core) {
    const auto parent = core.parents().find(key.name);
    if (parent == core.parents().end() || parent->second.key != key) return;
    pid = parent->second.unit.pid();
    start_ns = DurationNanos(parent->second.unit.start());
  });
  if (pid == 0) return;
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (pidfd && IsSameProcess(pid, start_ns))
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
}

void Agent::LaunchParent(const StartParentEffect& effect) {
  const ParentKey& key = effect.parent;
  // It does what it was asked to; the folder may be in use by now.
  uint64_t& asked = asked_[key];
  if (std::exchange(asked, supervisor_->incarnation()) == supervisor_->incarnation()) return;
  const std::string directory = ParentDirectory(key);
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);  // Of a start that nobody journaled.
  if (const Status failed = MakePrivateDirectory(directory)) {
    start_errors_[key] = failed->message;
    sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      core.OnParentFailed(now, key, failed->message, batch);
    });
    DropLife(key);
    return;
  }
  Failpoint("parent.start.asked");
  HoldLink(key);
  internal::v1::ToSupervisor frame;
  internal::v1::StartParent* const start = frame.mutable_start();
  start->set_name(key.name);
  start->set_incarnation(key.incarnation);
  for (const std::string& library : effect.libraries) start->add_libraries(library);
  start->set_directory(directory);
  start->set_socket_path(ParentSocket(key));
  for (const std::string& variable : DefaultEnvironment()) start->add_environment(variable);
  start->set_working_directory(DefaultWorkingDirectory());
  start->set_call_slots(effect.call_slots);
  supervisor_->Send(frame);
}

void Agent::ConnectParent(const ParentKey& key, int attempt) {
  const std::shared_ptr<ParentLink> link = Link(key);
  if (link == nullptr || link->was_connected() || link->TryConnect()) return;
  if (attempt >= kConnectAttempts) {
    spdlog::error("parent {} {} does not listen", key.name, key.incarnation);
    return;
  }
  loop_->At(BootTime{BootTimeNanos() + kConnectRetryNanos},
            [this, key, attempt] { ConnectParent(key, attempt + 1); });
}

void Agent::OnParentStartFailed(const internal::v1::StartFailed& failed) {
  const ParentKey key{failed.name(), failed.incarnation()};
  const std::string why = ErrnoError(failed.error_number(), failed.step()).message;
  start_errors_[key] = why;
  sequencer_->Step(
      [&](Core& core, Instant now, Batch* batch) { core.OnParentFailed(now, key, why, batch); });
  DropLife(key);
}

void Agent::OnSupervisorNote(const Note& note, const std::string& text) {
  lives_.OnSupervisorNote(note, text);
}

}  // namespace brood
