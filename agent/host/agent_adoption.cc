// SPDX-License-Identifier: Apache-2.0
//
// The host as Lives sees it: processes, the supervisors' notes, links to lives of parents.
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/host/agent.h"
#include "agent/host/note_facts.h"
#include "agent/outbox/outbox_reader.h"
#include "agent/process/pipe_reopen.h"
#include "agent/process/process_table.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// A supervisor that did not start: no memory, or no process to be had.
constexpr int64_t kSupervisorRetryNanos = 1'000'000'000;

}  // namespace

void Agent::StepCore(absl::FunctionRef<void(Core&, Instant, Batch*)> step) {
  sequencer_->Step([&](Core& core, Instant now, Batch* batch) { step(core, now, batch); });
}

void Agent::LookAtCore(absl::FunctionRef<void(const Core&)> look) const { sequencer_->Look(look); }

std::optional<int32_t> Agent::FindParentOf(int32_t pid, int64_t start_ns) const {
  if (!IsSameProcess(pid, start_ns)) return std::nullopt;
  const std::optional<ProcessEntry> process = ReadProcess(pid);
  return process ? std::optional<int32_t>(process->ppid) : std::nullopt;
}

std::string Agent::NameOf(int32_t pid) const {
  const std::optional<ProcessEntry> process = ReadProcess(pid);
  return process ? process->name : "";
}

bool Agent::WatchStranger(int32_t pid, int64_t start_ns,
                          std::function<void(const WaitStatus&)> ended) {
  return strangers_->Watch(pid, start_ns, [ended = std::move(ended)](std::optional<int> status) {
    ended(StatusOfWait(status));
  });
}

// What supervisors that have died noted, and no agent lived to read.
void Agent::ReadOlderSupervisorNotes() {
  for (const uint64_t incarnation : SupervisorLink::ListIncarnations(options_.state_directory)) {
    if (incarnation == supervisor_->incarnation()) continue;
    const std::string folder = SupervisorLink::Directory(options_.state_directory, incarnation);
    Failpoint("recovery.older_supervisor");
    OutboxReader(folder).Read([this](const Note& note, std::string_view text) {
      lives_.OnSupervisorNote(note, std::string(text));
    });
    spent_folders_.push_back(folder);
  }
}

// The boot whose folders are here stands in the file `boot`.
bool Agent::HoldsOtherBoot() {
  std::string boot;
  if (!(std::ifstream(options_.state_directory + "/boot") >> boot)) {
    WriteBoot();
    return false;
  }
  const std::string present = ReadBootId();
  return !present.empty() && boot != present;
}

// As a whole or not at all: from half an id the next agent would take those who live for gone.
void Agent::WriteBoot() const {
  const std::string path = options_.state_directory + "/boot";
  const std::string fresh = path + ".new";
  if (!(std::ofstream(fresh) << ReadBootId() << "\n"
                             << std::flush) ||
      ::rename(fresh.c_str(), path.c_str()) != 0) {
    spdlog::warn("the file '{}' cannot be written: {}", path, ErrnoError(errno, "rename").message);
    // A full disk: better none than that of another boot, by which those who live would be removed.
    ::unlink(path.c_str());
  }
}

void Agent::DropOtherBoot() {
  std::error_code ignored;
  for (const uint64_t incarnation : SupervisorLink::ListIncarnations(options_.state_directory)) {
    if (incarnation == supervisor_->incarnation()) continue;
    std::filesystem::remove_all(SupervisorLink::Directory(options_.state_directory, incarnation),
                                ignored);
  }
  std::filesystem::directory_iterator folders(options_.state_directory + "/parents", ignored);
  for (const auto& folder : folders) std::filesystem::remove_all(folder.path(), ignored);
  // Last: who dies before it removes them again.
  WriteBoot();
}

// Of lives that the journal knows to have ended and nobody holds: the agent before died after it
// had written that, and before it had removed them all.
void Agent::FindSpentFolders() {
  std::error_code failed;
  for (auto folder =
           std::filesystem::directory_iterator(options_.state_directory + "/parents", failed);
       !failed && folder != std::filesystem::directory_iterator(); folder.increment(failed)) {
    const std::string name = folder->path().filename();
    const size_t dash = name.rfind('-');
    if (dash == std::string::npos) continue;
    ParentKey key;
    key.name = name.substr(0, dash);
    const char* const end = name.c_str() + name.size();
    const auto [stop, bad] = std::from_chars(name.c_str() + dash + 1, end, key.incarnation);
    if (bad != std::errc() || stop != end || Link(key) != nullptr) continue;
    // A life of which the journal knows nothing may just be starting.
    const bool over = sequencer_->Look([&](const Core& core) {
      const auto parent = core.parents().find(key.name);
      return parent != core.parents().end() && key.incarnation <= parent->second.key.incarnation &&
             core.IsOver(key);
    });
    if (over) spent_folders_.push_back(folder->path());
  }
}

std::vector<std::shared_ptr<Life>> Agent::ListLives() const {
  std::vector<std::shared_ptr<Life>> lives;
  const absl::MutexLock lock(&links_mutex_);
  for (const auto& entry : links_) lives.push_back(entry.second);
  return lives;
}

std::shared_ptr<ParentLink> Agent::HoldLink(const ParentKey& key) {
  auto link =
      std::make_shared<ParentLink>(key, ParentDirectory(key), ParentSocket(key), incarnation_,
                                   loop_, sequencer_.get(), spool_.get(), inputs_.get());
  link->SetLimitGroups(limit_groups_.get());
  const absl::MutexLock lock(&links_mutex_);
  links_[key] = link;
  return link;
}

std::shared_ptr<Life> Agent::OpenLife(const ParentKey& key) { return HoldLink(key); }

void Agent::CloseLife(const ParentKey& key) { ::unlink(ParentSocket(key).c_str()); }

void Agent::DropLife(const ParentKey& key) {
  asked_.erase(key);
  std::shared_ptr<ParentLink> link;
  {
    const absl::MutexLock lock(&links_mutex_);
    const auto found = links_.find(key);
    if (found != links_.end()) {
      link = std::move(found->second);
      links_.erase(found);
    }
  }
  // A committer in another thread may hold it for longer.
  if (link != nullptr) link->Shut();
  // Once the journal has what its notes said: should this agent die first, the next reads them.
  spent_folders_.push_back(ParentDirectory(key));
}

bool Agent::ReopenStreams(uint64_t job_key, int32_t pid, const StartSlot& start) {
  Failpoint("recovery.streams");
  UniqueFd out = ReopenPipe(pid, start.output_inode);
  UniqueFd err = ReopenPipe(pid, start.error_inode);
  const bool both = out && err;
  if (out || err) spool_->Attach(job_key, std::move(out), std::move(err));
  return both;
}

void Agent::OnSupervisorGone() {
  // One that was told to end has ended.
  if (parents_told_) return;
  spdlog::error("the supervisor {} is gone; starting a new one", supervisor_pid_.load());
  loop_->Post([this] { ReplaceSupervisor(); });
}

void Agent::ReplaceSupervisor() {
  if (const Status failed = OpenSupervisor()) {
    spdlog::critical("{}", failed->message);
    loop_->At(BootTime{BootTimeNanos() + kSupervisorRetryNanos}, [this] { ReplaceSupervisor(); });
    return;
  }
  Failpoint("supervisor.replaced");
  lives_.OnSupervisorReplaced();
}

}  // namespace brood
