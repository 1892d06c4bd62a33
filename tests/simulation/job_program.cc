// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/job_program.h"

#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace brood::simulation {
namespace {

// Lives on in the session of the job that left it, and holds its pipe.
class DaemonProgram final : public Program {
 public:
  explicit DaemonProgram(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) { ++pipe_->writers; }
  ~DaemonProgram() override { --pipe_->writers; }

 private:
  const std::shared_ptr<Pipe> pipe_;
};

}  // namespace

std::string FirstOutput(const std::string& output) { return output.substr(0, output.size() / 2); }
std::string SecondOutput(const std::string& output) { return output.substr(output.size() / 2); }

JobProgram::JobProgram(World* world, ProcessRef self, Start start)
    : world_(world), self_(self), start_(std::move(start)), plan_(world->plans.at(start_.job_id)) {
  ++start_.pipe->writers;
  world_->pipes[self->pid] = start_.pipe;
  world_->kernel.At(self, world_->random.Delay(3'000), [this] { Claim(); });
}

JobProgram::~JobProgram() {
  // Who waits in vfork is woken by its end too.
  if (!executed_) start_.executed();
  --start_.pipe->writers;
  if (const ProcessRef self = self_.lock()) world_->pipes.erase(self->pid);
  if (world_->pipe_bell) world_->pipe_bell(start_.job_key);
}

// Its first act. Who comes too late was believed never to have been.
void JobProgram::Claim() {
  const ProcessRef self = self_.lock();
  StartSlot& slot = start_.folder->starts[start_.slot];
  slot.pid = self->pid;
  slot.start_ns = world_->kernel.now_ns();
  if (slot.claim != kUnclaimed) {
    world_->kernel.Count(Sometimes::kClaimRefused);
    Kernel::ExitNow(CLD_EXITED, 127);
  }
  slot.claim = kClaimedByChild;
  world_->kernel.Say("claims", {start_.job_key});
  world_->kernel.At(self, world_->random.Delay(3'000), [this] { Execute(); });
}

void JobProgram::Execute() {
  if (plan_.exec_fails && start_.is_command) {
    StartSlot& slot = start_.folder->starts[start_.slot];
    slot.error_number = ENOENT;
    slot.failed_step = static_cast<uint32_t>(ChildStep::kExec);
    world_->kernel.Count(Sometimes::kExecFails);
    Kernel::ExitNow(CLD_EXITED, 127);
  }
  executed_ = true;
  start_.executed();
  world_->kernel.At(self_.lock(), world_->random.Delay(5'000), [this] { BeginCode(); });
}

void JobProgram::BeginCode() {
  const ProcessRef self = self_.lock();
  ++world_->ledger[start_.job_id].begun;
  world_->kernel.Say("begins", {start_.job_key}, start_.job_id);
  Print(FirstOutput(plan_.told.output));
  if (plan_.leaves_daemon) {
    const ProcessRef daemon = world_->kernel.Spawn(self->pid, "daemon");
    daemon->session = self->session;
    daemon->is_brood = daemon->is_a_job = true;
    daemon->program = std::make_unique<DaemonProgram>(start_.pipe);
    world_->kernel.At(daemon, world_->random.Between(1'000'000, 2'000'000'000),
                      [] { Kernel::ExitNow(CLD_EXITED, 0); });
    world_->kernel.Count(Sometimes::kDaemonLeft);
  }
  world_->kernel.At(self, plan_.works_ns, [this] { EndCode(); });
}

void JobProgram::EndCode() {
  if (plan_.crashes) {
    world_->kernel.Count(Sometimes::kProcessCrashes);
    Kernel::ExitNow(CLD_KILLED, SIGSEGV);
  }
  Print(SecondOutput(plan_.told.output));
  ++world_->ledger[start_.job_id].ended;
  world_->kernel.Say("ends", {start_.job_key}, start_.job_id);
  if (!start_.is_command) {
    CallAreaFile& area = start_.folder->areas[start_.slot];
    area.value = plan_.told.returned;
    area.result = kCallReturned;
  }
  Kernel::ExitNow(CLD_EXITED, plan_.told.exit_code);
}

void JobProgram::Print(const std::string& text) {
  if (text.empty()) return;
  start_.pipe->bytes += text;
  if (world_->pipe_bell) world_->pipe_bell(start_.job_key);
}

bool JobProgram::OnSignal(int signal) { return signal == SIGTERM && plan_.ignores_term; }

}  // namespace brood::simulation
