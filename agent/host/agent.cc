// SPDX-License-Identifier: Apache-2.0
#include "agent/host/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "agent/core/proto_time.h"
#include "agent/host/default_environment.h"
#include "agent/host/note_facts.h"
#include "agent/host/process_listing.h"
#include "agent/process/process_limit.h"
#include "common/base/failpoint.h"
#include "common/base/paths.h"
#include "common/base/unique_fd.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// The life of the default parent that is found, which may be at its end, and the next.
constexpr int kDefaultStarts = 2;

// How long an agent that starts waits for parents it has found: one may be stopped, or never
// answer.
constexpr int64_t kAdoptNanos = 5'000'000'000;

// While the journal is in trouble, it is tried this often: people who have made room look at once.
constexpr int64_t kRecoverNanos = 500'000'000;

// While jobs wait for a slot, readers are told this often: short beside a second
// look at a screen, long beside what one message costs.
constexpr int64_t kFeedRoundNanos = 2'000'000;

// In one write over what is there.
bool WriteNumber(const std::string& path, uint64_t number) {
  const std::string text = std::to_string(number) + "\n";
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const ssize_t written = fd ? ::pwrite(fd.get(), text.data(), text.size(), 0) : -1;
  if (written >= 0 && static_cast<size_t>(written) < text.size()) errno = ENOSPC;
  return written == static_cast<ssize_t>(text.size());
}

// For control groups at the end: what is left then the next agent removes.
constexpr int kLastLooks = 20;
constexpr int kLastLookMilliseconds = 10;

// Each start of the agent has a number of its own, spent before anything is
// done with it.
Result<uint64_t> NextIncarnation(const std::string& state) {
  const std::string path = state + "/incarnation";
  uint64_t last = 0;
  std::ifstream(path) >> last;
  const std::string fresh = path + ".new";
  if (WriteNumber(fresh, last + 1) && !FailsAt("agent.incarnation.rename") &&
      ::rename(fresh.c_str(), path.c_str()) == 0)
    return last + 1;
  const int error = errno;
  // A full disk has no room for another file, and the old one has its own.
  if (error != ENOSPC || last == 0 || !WriteNumber(path, last + 1))
    return ErrnoError(error, "write '" + path + "'");
  return last + 1;
}

}  // namespace

Result<std::unique_ptr<Agent>> Agent::Create(AgentOptions options, const Clock* clock,
                                             EventLoop* loop) {
  std::unique_ptr<Agent> agent(new Agent(std::move(options), clock, loop));
  if (Status failed = agent->Open()) return *failed;
  return agent;
}

Agent::Agent(AgentOptions options, const Clock* clock, EventLoop* loop)
    : options_(std::move(options)), clock_(clock), loop_(loop), feed_([this](auto end_round) {
        loop_->Post([this, end_round = std::move(end_round)] {
          loop_->At(BootTime{clock_->Now().boot.ns + kFeedRoundNanos}, end_round);
        });
      }) {}

Agent::~Agent() {
  // Processes that were killed just now take a moment to leave their groups.
  for (int look = 0; sequencer_ != nullptr && look < kLastLooks; ++look) {
    RemoveLimitGroups();
    if (limit_groups_->jobs().empty()) break;
    ::poll(nullptr, 0, kLastLookMilliseconds);
  }
  processes_.reset();
  trees_.reset();
  if (sequencer_ != nullptr) sequencer_->StopSyncs();
  snapshots_.reset();  // Hears of what a sync that was under way has written.
  const absl::MutexLock lock(&links_mutex_);
  links_.clear();
}

Status Agent::Open() {
  for (const char* const folder : {"", "/parents", "/supervisor", "/spool"}) {
    if (Status failed = MakePrivateDirectory(options_.state_directory + folder)) return failed;
  }
  if (Status failed = MakePrivateDirectory(options_.runtime_directory)) return failed;
  Journal::Options journal_options;
  journal_options.retained_bytes = options_.retain_bytes;
  journal_options.retained_ns = options_.retain_ns;
  // The journal's lock is the state's: a second agent stops here.
  Result<std::unique_ptr<Journal>> journal =
      Journal::Open(options_.state_directory + "/journal", journal_options);
  if (!journal) return journal.error();
  journal_ = std::move(*journal);
  Result<uint64_t> incarnation = NextIncarnation(options_.state_directory);
  if (!incarnation) return incarnation.error();
  incarnation_ = *incarnation;
  start_wall_ns_ = clock_->Now().wall.ns;

  limit_groups_ =
      std::make_unique<LimitGroups>(journal_->id(), options_.state_directory + "/limit_groups");
  CoreOptions core;
  core.host = options_.name;
  core.journal_id = journal_->id();
  core.boot_id = ReadBootId();
  core.agent_incarnation = incarnation_;
  core.process_slots = options_.process_slots;
  core.thread_slots = options_.thread_slots;
  core.queue_limit = options_.queue_limit;
  core.default_mode = options_.default_mode;
  core.ended_jobs_kept = options_.ended_jobs;
  core.output_bytes_kept = options_.output_bytes_kept;
  core.limits.controllers = limit_groups_->controllers();
  core.limits.memory_group = limit_groups_->bounds_memory();
  core.limits.process_group = limit_groups_->bounds_processes();
  core.limits.nproc_binds = ProcessLimitBinds();
  core_ = std::make_unique<Core>(core);
  if (Status failed = Replay()) return failed;
  Failpoint("recovery.replayed");
  Result<std::unique_ptr<Spool>> spool =
      Spool::Open(options_.state_directory + "/spool", loop_, this);
  if (!spool) return spool.error();
  spool_ = std::move(*spool);
  spool_->RemoveUnknown([this](uint64_t job_key) { return core_->Find(job_key) != nullptr; });
  inputs_ = std::make_unique<JobInputs>(loop_, [this](uint64_t job_key) {
    return sequencer_->Look([&](const Core& look) {
      const CoreJob* const job = look.Find(job_key);
      return job != nullptr && !job->ended;
    });
  });
  trees_ = std::make_unique<TreeThread>(
      options_.name, std::string(journal_->id()),
      [this] {
        std::vector<int> spared = {::getpid(), supervisor_pid_.load()};
        sequencer_->Look([&](const Core& look) {
          for (const auto& entry : look.parents()) {
            if (entry.second.state != v1::PARENT_STATE_ENDED)
              spared.push_back(entry.second.unit.pid());
          }
        });
        return spared;
      },
      [this](uint64_t job_key, std::vector<v1::Unit> survivors) {
        sequencer_->Step(
            [&](Core& c, Instant now, Batch* batch) { c.OnTree(now, job_key, survivors, batch); });
        sequencer_->Commit();
      });
  loop_->AfterRound([this] { EndRound(); });
  sequencer_->Step([](Core& c, Instant now, Batch* batch) { c.EndReplay(now, batch); });
  strangers_ = std::make_unique<StrangerWatch>(loop_);
  if (Status failed = OpenSupervisor()) return failed;
  Failpoint("recovery.supervisor_found");
  adopted_ = lives_.AdoptFound();
  FindSpentFolders();
  Failpoint("recovery.adopted");
  FindOutputs();
  sequencer_->Commit();
  processes_ =
      std::make_unique<ProcessWatch>(options_.name, std::string(journal_->id()), sequencer_.get(),
                                     [this] { return supervisor_pid_.load(); });
  snapshots_->Start();
  return Ok();
}

// Until the sequencer is there; everything that follows goes through it.
Status Agent::Replay() {
  for (const std::string& notice : journal_->notices()) spdlog::error("{}", notice);
  std::unique_ptr<IdLog> ids;
  if (Status failed = RestoreCore(*journal_, &disk_, options_.state_directory + "/journal",
                                  core_.get(), &ids)) {
    return failed;
  }
  uint64_t replayed = 0;
  bool readable = true;
  const uint64_t after = std::max(journal_->restored_cursor(), journal_->oldest() - 1);
  const Status bad =
      journal_->Read(after, [&](uint64_t cursor, uint64_t job_key, std::string_view payload) {
        v1::Event event;
        readable = event.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
        if (readable) core_->Replay(cursor, job_key, event);
        ++replayed;
        return readable;
      });
  if (bad) return bad;
  if (!readable)
    return Error{ErrorCode::kDataLoss, "JOURNAL_DAMAGED", "the journal holds an event that is none",
                 ""};
  if (Status failed = ReplayEnvironments()) return failed;
  sequencer_ =
      std::make_unique<Sequencer>(core_.get(), journal_.get(), environments_.get(), clock_, this);
  snapshots_ = std::make_unique<SnapshotThread>(sequencer_.get(), journal_.get(), std::move(ids),
                                                options_.snapshot_events, replayed);
  return Ok();
}

void Agent::WriteLastSnapshot() {
  snapshots_->Stop();
  if (const Status failed = snapshots_->Write())
    spdlog::warn("no snapshot was written: {}", failed->message);
}

Status Agent::ReplayEnvironments() {
  Result<std::unique_ptr<EnvironmentFile>> file =
      EnvironmentFile::Open(options_.state_directory + "/environments");
  if (!file) return file.error();
  environments_ = std::move(*file);
  std::vector<uint64_t> spent;
  for (const auto& [job_key, bytes] : environments_->kept()) {
    v1::Environment environment;
    const bool read = environment.ParseFromString(*bytes);
    if (!read || !core_->ReplayEnvironment(job_key, std::move(environment)))
      spent.push_back(job_key);
  }
  environments_->Forget(spent);
  return Ok();
}

Status Agent::OpenSupervisor() {
  Result<std::unique_ptr<SupervisorLink>> link = SupervisorLink::Open(
      options_.state_directory, SupervisorSocketPath(options_.runtime_directory), incarnation_,
      loop_, this);
  if (!link) return link.error();
  supervisor_ = std::move(*link);
  supervisor_pid_ = supervisor_->pid();
  return Ok();
}

void Agent::Start(std::function<void(Status)> ready) {
  loop_->Post([this] { RemoveLimitGroups(); });  // What an earlier agent left.
  StartDefault(kDefaultStarts, [this, ready = std::move(ready)](const Status& failed) {
    if (failed) return ready(failed);
    AwaitAdopted(ready);
  });
}

// Until they have said what they can run: before, a call of theirs would be refused as unknown.
void Agent::AwaitAdopted(const std::function<void(Status)>& ready) {
  const auto done = std::make_shared<bool>(false);
  const auto finish = [done, ready] {
    if (!std::exchange(*done, true)) ready(Ok());
  };
  const std::vector<ParentKey> adopted = std::exchange(adopted_, {});
  if (adopted.empty()) return finish();
  const auto left = std::make_shared<size_t>(adopted.size());
  for (const ParentKey& key : adopted) {
    waits_.push_back(Wait{key, false, [left, finish](const Result<v1::Parent>&) {
                            if (--*left == 0) finish();
                          }});
  }
  loop_->At(BootTime{clock_->Now().boot.ns + kAdoptNanos}, finish);
}

void Agent::StartDefault(int times, const std::function<void(Status)>& ready) {
  StartParent(kDefaultParent, {}, [this, times, ready](const Result<v1::Parent>& parent) {
    // The life that was found may have been at its end.
    if (!parent && parent.error().reason == "PARENT_FAILED" && times > 1)
      return StartDefault(times - 1, ready);
    // Its main thread may have left its threads behind: its next life comes when somebody needs it.
    if (!parent && parent.error().reason == "PARENT_ENDING") return ready(Ok());
    ready(parent ? Ok() : Status(parent.error()));
  });
}

void Agent::EndRound() {
  const std::vector<uint64_t> ended =
      sequencer_->Step([](Core& core, Instant, Batch*) { return core.TakeEnded(); });
  for (const uint64_t job_key : ended) {
    inputs_->Forget(job_key);
    Failpoint("end.output");
    spool_->Finish(job_key);
    lives_.OnJobEnded(job_key);
  }
  if (!ended.empty()) RemoveLimitGroups();
  sequencer_->Commit();
  CheckWaits();
  start_errors_.clear();  // Who waited for these has been told.
  if (!sequencer_->AllCommitted()) return;
  // What is heard of and not told is in no journal.
  if (sequencer_->Look([](const Core& core) { return core.HoldsEarlyOrphans(); })) return;
  Failpoint("notes.release");
  supervisor_->ReleaseNotes();
  for (const std::string& folder : std::exchange(spent_folders_, {})) {
    std::error_code ignored;
    Failpoint("life.forget");
    std::filesystem::remove_all(folder, ignored);
  }
  const absl::MutexLock lock(&links_mutex_);
  for (const auto& entry : links_) entry.second->ReleaseNotes();
}

void Agent::OnPublished(const std::vector<JournalRecord>& records, bool busy) {
  snapshots_->OnWritten(records);
  feed_.Publish(records, busy);
}

void Agent::OnDeadline(int64_t boot_ns) {
  loop_->Post([this, boot_ns] {
    loop_->Cancel(deadline_timer_);
    if (boot_ns == INT64_MAX) return;
    deadline_timer_ = loop_->At(BootTime{boot_ns}, [this] {
      sequencer_->Step([](Core& core, Instant now, Batch* batch) { core.OnTime(now, batch); });
    });
  });
}

void Agent::OnMore() {
  loop_->Post([this] { sequencer_->Commit(); });
}

void Agent::OnJournalTrouble(const Status& trouble) {
  if (trouble) {
    spdlog::error("no new jobs are taken: {}", trouble->message);
  } else {
    spdlog::info("the journal is well again: jobs are taken");
  }
  loop_->Post([this, in_trouble = trouble.has_value()] {
    journal_in_trouble_ = in_trouble;
    if (in_trouble) RecoverLater();
  });
}

void Agent::RecoverLater() {
  if (std::exchange(recovery_armed_, true)) return;
  loop_->At(BootTime{clock_->Now().boot.ns + kRecoverNanos}, [this] {
    recovery_armed_ = false;
    if (!journal_in_trouble_) return;
    sequencer_->Recover();
    RecoverLater();
  });
}

void Agent::ListProcesses(bool threads,
                          std::function<void(Result<v1::ListProcessesResponse>)> done) {
  const bool taken = trees_->AddLook([this, threads, done] {
    // Parents and jobs too: what a supervisor that has died had started is below nobody of ours.
    std::vector<pid_t> roots = {::getpid(), supervisor_pid_.load()};
    sequencer_->Look([&roots](const Core& core) {
      for (const auto& [name, parent] : core.parents()) {
        if (parent.state != v1::PARENT_STATE_ENDED) roots.push_back(parent.unit.pid());
      }
      for (const auto& [job_key, job] : core.jobs()) {
        if (!job->ended && job->started()) roots.push_back(job->view.pid());
      }
    });
    done(brood::ListProcesses(roots, threads));
  });
  if (taken) return;
  done(Error{ErrorCode::kResourceExhausted, "TOO_MANY_LOOKS",
             std::to_string(kLooksMax) + " looks at this host's processes wait already; try again",
             ""});
}

void Agent::FillHost(v1::Host* host) const {
  sequencer_->Look([&](const Core& core) { core.ViewHost(host); });
  host->set_journal_oldest(journal_->oldest());
  host->set_agent_pid(::getpid());
  host->set_supervisor_pid(supervisor_pid_.load());
  host->set_cpus(std::thread::hardware_concurrency());
  SetTimestamp(start_wall_ns_, host->mutable_start_time());
  host->set_tree_kill(trees_->has_cgroups() ? "cgroup" : "scan");
  for (const std::string& variable : DefaultEnvironment()) host->add_default_environment(variable);
  host->set_default_working_directory(DefaultWorkingDirectory());
}

}  // namespace brood
