// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "tests/simulation/random.h"
#include "tests/simulation/sometimes.h"
#include "tests/simulation/trace.h"

namespace brood::simulation {

// What a process runs. Destroyed when it ends: what it had in memory is gone then.
class Program {
 public:
  virtual ~Program() = default;
  // A child has ended and is a zombie.
  virtual void OnChildEnded() {}
  // Returns false if the signal has its default effect.
  virtual bool OnSignal(int /*signal*/) { return false; }
};

struct Process {
  int32_t pid = 0;
  int32_t ppid = 0;
  int32_t session = 0;
  int64_t start_ns = 0;
  std::string name;
  bool subreaper = false;
  bool is_brood = false;  // of brood, or of one of its jobs
  bool is_a_job = false;  // or below one
  bool alive = true;      // else a zombie, or reaped
  bool reaped = false;
  bool stopped = false;
  int32_t code = 0;  // CLD_EXITED or CLD_KILLED
  int32_t status = 0;
  uint64_t killed_in = 0;  // so many of its steps from now; 0: not
  std::unique_ptr<Program> program;
  std::vector<std::function<void()>> held;  // while it is stopped
};
using ProcessRef = std::shared_ptr<Process>;

// A host: its clock, its processes, and what is to happen. One thread; all that is left to chance
// follows from the seed.
class Kernel final : public Clock {
 public:
  static constexpr int32_t kInit = 1;
  // Of the clock of /proc.
  static constexpr int64_t kTickNanos = 10'000'000;

  Kernel(Random* random, Trace* trace, Coverage* coverage);
  ~Kernel() override;

  Instant Now() const override {
    return Instant{BootTime{now_ns_}, WallTime{kWall + now_ns_ + skew_ns_}};
  }
  int64_t now_ns() const { return now_ns_; }

  // Forks: the child of `ppid`, without a program yet.
  ProcessRef Spawn(int32_t ppid, const std::string& name);
  // A step of a process, if it lives then; or of nobody in particular.
  void At(const ProcessRef& process, int64_t delay_ns, std::function<void()> step);
  void At(int64_t delay_ns, std::function<void()> step);
  // Within a step: a moment at which SIGKILL may strike. What is after it does not happen then.
  void KillPoint();
  // Within a step: the process ends by itself.
  [[noreturn]] static void ExitNow(int32_t code, int32_t status);

  // kill(2) by `sender`, checked against who may be signalled. False: nobody there.
  bool Kill(int32_t pid, int signal, bool by_brood);
  void KillSession(int32_t session, int signal, bool by_brood);
  void End(const ProcessRef& process, int32_t code, int32_t status);
  void Reap(int32_t pid);
  // Null: there is none, not even a zombie.
  ProcessRef Find(int32_t pid) const;
  // As the agent asks /proc: the process that has this pid, if it had it at that time too.
  ProcessRef FindSame(int32_t pid, int64_t seen_ns) const;
  // A zombie that is a child of `ppid`, any of them; 0: there is none.
  int32_t FindZombieOf(int32_t ppid);
  const std::map<int32_t, ProcessRef>& processes() const { return processes_; }

  // Runs the next step; false if there is none before `until_ns`.
  bool RunNext(int64_t until_ns);
  // The power goes and comes again: no process is left, and the clock begins anew.
  void Reboot();
  int boots() const { return boots_; }
  void SkewWall(int64_t by_ns) { skew_ns_ += by_ns; }

  Random& random() { return *random_; }
  void Count(Sometimes what) { coverage_->Count(what); }
  void Say(std::string_view what, std::initializer_list<uint64_t> numbers = {},
           std::string_view text = {});
  // What no kernel should have seen, e.g. a signal to a process that is not brood's.
  std::vector<std::string>& breaches() { return breaches_; }

 private:
  struct Event {
    int64_t at_ns;
    uint64_t number;
    ProcessRef process;
    std::function<void()> step;
    bool operator<(const Event& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : number > other.number;
    }
  };
  static constexpr int64_t kWall = 1'700'000'000'000'000'000;
  // A pid comes back no sooner: no host uses up its pids within two ticks of /proc's clock.
  static constexpr int64_t kPidRestNanos = 20'000'000;

  int32_t NextPid();
  void GiveAway(const ProcessRef& ended);

  Random* const random_;
  Trace* const trace_;
  Coverage* const coverage_;
  int64_t now_ns_ = 5'000'000'000;
  int64_t skew_ns_ = 0;
  int boots_ = 0;
  uint64_t next_event_ = 0;
  std::vector<Event> events_;  // a heap
  std::map<int32_t, ProcessRef> processes_;
  std::map<int32_t, int64_t> resting_;  // pids, and when they were let go
  int32_t last_pid_ = 100;
  ProcessRef current_;
  std::vector<std::string> breaches_;
};

}  // namespace brood::simulation
