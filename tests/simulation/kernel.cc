// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/kernel.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "common/base/process_life.h"

namespace brood::simulation {
namespace {

// Few, so that they come back.
constexpr int32_t kFirstPid = 100;
constexpr int32_t kLastPid = 170;

struct Ended {
  int32_t code;
  int32_t status;
};

}  // namespace

Kernel::Kernel(Random* random, Trace* trace, Coverage* coverage)
    : random_(random), trace_(trace), coverage_(coverage) {
  Spawn(0, "init");
}

// Programs hold each other's ends of sockets: those go while all else is there.
Kernel::~Kernel() {
  events_.clear();
  for (auto& [pid, process] : processes_) {
    process->held.clear();
    process->alive = false;
  }
  for (auto& [pid, process] : processes_) process->program.reset();
}

void Kernel::Say(std::string_view what, std::initializer_list<uint64_t> numbers,
                 std::string_view text) {
  trace_->Say(now_ns_, current_ != nullptr ? current_->pid : 0, what, numbers, text);
}

int32_t Kernel::NextPid() {
  if (processes_.empty()) return kInit;
  for (int32_t tries = 0;; ++tries) {
    last_pid_ = last_pid_ >= kLastPid && tries < kLastPid ? kFirstPid : last_pid_ + 1;
    // Nor that of a session which has members.
    const auto taken = [this](const auto& entry) { return entry.second->session == last_pid_; };
    if (processes_.count(last_pid_) > 0 ||
        std::any_of(processes_.begin(), processes_.end(), taken)) {
      continue;
    }
    const auto rested = resting_.find(last_pid_);
    if (rested == resting_.end()) return last_pid_;
    if (now_ns_ - rested->second < kPidRestNanos) continue;
    resting_.erase(rested);
    Count(Sometimes::kPidComesAgain);
    return last_pid_;
  }
}

ProcessRef Kernel::Spawn(int32_t ppid, const std::string& name) {
  auto process = std::make_shared<Process>();
  process->pid = NextPid();
  process->ppid = ppid;
  process->session = process->pid;
  process->start_ns = now_ns_;
  process->name = name;
  processes_[process->pid] = process;
  Say("fork", {static_cast<uint64_t>(process->pid)}, name);
  return process;
}

void Kernel::At(const ProcessRef& process, int64_t delay_ns, std::function<void()> step) {
  events_.push_back(Event{now_ns_ + delay_ns, next_event_++, process, std::move(step)});
  std::push_heap(events_.begin(), events_.end());
}

void Kernel::At(int64_t delay_ns, std::function<void()> step) {
  At(nullptr, delay_ns, std::move(step));
}

void Kernel::KillPoint() {
  if (current_ == nullptr || current_->killed_in == 0) return;
  if (--current_->killed_in == 0) throw Ended{CLD_KILLED, SIGKILL};
}

void Kernel::ExitNow(int32_t code, int32_t status) { throw Ended{code, status}; }

bool Kernel::RunNext(int64_t until_ns) {
  if (events_.empty() || events_.front().at_ns > until_ns) {
    now_ns_ = until_ns;
    return false;
  }
  std::pop_heap(events_.begin(), events_.end());
  Event event = std::move(events_.back());
  events_.pop_back();
  now_ns_ = std::max(now_ns_, event.at_ns);
  if (event.process == nullptr) {
    event.step();
    return true;
  }
  if (!event.process->alive) return true;
  if (event.process->stopped) {
    event.process->held.push_back(std::move(event.step));
    return true;
  }
  current_ = event.process;
  try {
    event.step();
    KillPoint();
  } catch (const Ended& ended) {
    const ProcessRef process = std::exchange(current_, nullptr);
    End(process, ended.code, ended.status);
  }
  current_ = nullptr;
  return true;
}

void Kernel::End(const ProcessRef& process, int32_t code, int32_t status) {
  if (!process->alive) return;
  Say(code == CLD_KILLED ? "killed by" : "exits with",
      {static_cast<uint64_t>(process->pid), static_cast<uint64_t>(status)}, process->name);
  process->alive = false;
  process->code = code;
  process->status = status;
  process->held.clear();
  const std::unique_ptr<Program> gone = std::move(process->program);
  GiveAway(process);
  const ProcessRef parent = Find(process->ppid);
  if (process->ppid == kInit || parent == nullptr || !parent->alive) {
    Reap(process->pid);
  } else {
    At(parent, random_->Delay(1'000), [parent] {
      if (parent->program != nullptr) parent->program->OnChildEnded();
    });
  }
}

// Its children go to the nearest ancestor that wants them.
void Kernel::GiveAway(const ProcessRef& ended) {
  int32_t adopter = ended->ppid;
  for (;;) {
    const ProcessRef one = Find(adopter);
    if (adopter == kInit || one == nullptr) {
      adopter = kInit;
      break;
    }
    if (one->alive && one->subreaper) break;
    adopter = one->ppid;
  }
  std::vector<int32_t> unwanted;
  for (auto& [pid, child] : processes_) {
    if (child->ppid != ended->pid) continue;
    child->ppid = adopter;
    if (child->alive) continue;
    if (adopter == kInit) {
      unwanted.push_back(pid);
    } else {
      const ProcessRef parent = Find(adopter);
      At(parent, random_->Delay(1'000), [parent] {
        if (parent->program != nullptr) parent->program->OnChildEnded();
      });
    }
  }
  for (const int32_t pid : unwanted) Reap(pid);
}

void Kernel::Reap(int32_t pid) {
  const auto found = processes_.find(pid);
  if (found == processes_.end() || found->second->alive) return;
  found->second->reaped = true;
  processes_.erase(found);
  resting_[pid] = now_ns_;
}

ProcessRef Kernel::Find(int32_t pid) const {
  const auto found = processes_.find(pid);
  return found == processes_.end() ? nullptr : found->second;
}

ProcessRef Kernel::FindSame(int32_t pid, int64_t seen_ns) const {
  const ProcessRef found = Find(pid);
  const bool same =
      found != nullptr && LivedAt(found->start_ns / kTickNanos * kTickNanos, INT64_MAX, seen_ns);
  return same ? found : nullptr;
}

int32_t Kernel::FindZombieOf(int32_t ppid) {
  std::vector<int32_t> zombies;
  for (const auto& [pid, process] : processes_) {
    if (process->ppid == ppid && !process->alive) zombies.push_back(pid);
  }
  return zombies.empty() ? 0 : zombies[random_->Below(zombies.size())];
}

bool Kernel::Kill(int32_t pid, int signal, bool by_brood) {
  const ProcessRef process = Find(pid);
  if (process == nullptr) return false;
  if (by_brood && !process->is_brood)
    breaches_.push_back("brood signals process " + std::to_string(pid) + ", a stranger");
  if (!process->alive) return true;
  Say("signal", {static_cast<uint64_t>(pid), static_cast<uint64_t>(signal)});
  if (signal == SIGKILL) {
    End(process, CLD_KILLED, SIGKILL);
    return true;
  }
  if (signal == SIGSTOP) {
    process->stopped = true;
    return true;
  }
  if (signal == SIGCONT) {
    if (std::exchange(process->stopped, false)) {
      for (std::function<void()>& step : std::exchange(process->held, {}))
        At(process, random_->Delay(1'000), std::move(step));
    }
    return true;
  }
  // Handled when it runs next.
  At(process, random_->Delay(1'000), [process, signal] {
    if (process->program != nullptr && process->program->OnSignal(signal)) return;
    ExitNow(CLD_KILLED, signal);
  });
  return true;
}

void Kernel::KillSession(int32_t session, int signal, bool by_brood) {
  std::vector<int32_t> members;
  for (const auto& [pid, process] : processes_) {
    if (process->session == session) members.push_back(pid);
  }
  for (const int32_t pid : members) Kill(pid, signal, by_brood);
}

void Kernel::Reboot() {
  Say("power is lost");
  events_.clear();
  // Nobody is told of anybody's end.
  std::map<int32_t, ProcessRef> gone;
  gone.swap(processes_);
  for (auto& [pid, process] : gone) {
    process->alive = false;
    process->reaped = true;
    process->held.clear();
  }
  for (auto& [pid, process] : gone) process->program.reset();
  events_.clear();
  resting_.clear();
  ++boots_;
  skew_ns_ += now_ns_;
  now_ns_ = random_->Between(2'000'000'000, 6'000'000'000);
  skew_ns_ -= now_ns_;
  skew_ns_ += 20'000'000'000;
  last_pid_ = kFirstPid + static_cast<int32_t>(random_->Below(20));
  Spawn(0, "init");
}

}  // namespace brood::simulation
