// SPDX-License-Identifier: Apache-2.0
//
// What a start of the agent costs before it looks at processes: with a snapshot, without one, and
// beside that a bare reading of the same bytes. restart_bench [ENDED [LIVE [FOLDER]]]
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/core.h"
#include "agent/host/snapshot_thread.h"
#include "agent/journal/id_log.h"
#include "agent/journal/journal.h"
#include "brood/internal/v1/snapshot.pb.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

double Seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "restart_bench: %s\n", why.c_str());
  std::exit(EXIT_FAILURE);
}

CoreOptions OptionsOf() {
  CoreOptions options;
  options.host = "bench";
  options.boot_id = "boot";
  options.agent_incarnation = 1;
  options.process_slots = options.thread_slots = 100'000;
  options.queue_limit = 100'000;
  return options;
}

std::unique_ptr<Journal> Open(const std::string& folder) {
  Journal::Options options;
  options.retained_bytes = size_t{1} << 40;
  Result<std::unique_ptr<Journal>> journal = Journal::Open(folder, options);
  if (!journal) Die(journal.error().message);
  return std::move(*journal);
}

// Takes commands from their receipt to where they are.
class Host {
 public:
  explicit Host(Journal* journal) : journal_(journal), core_(OptionsOf()) {
    ParentKey key = *core_.StartParent(now_, kDefaultParent, {}, &batch_);
    v1::Unit unit;
    unit.set_pid(500);
    core_.OnParentStarted(now_, key, unit, &batch_);
    core_.OnParentReady(now_, key, {}, {}, &batch_);
  }
  void Run(int count, bool to_the_end) {
    for (int i = 0; i < count; ++i) {
      now_.boot.ns += 1'000;
      v1::JobSubmission job;
      job.set_job_id("job-" + std::to_string(++ids_));
      job.mutable_spec()->mutable_command()->add_argv("true");
      uint64_t key = 0;
      core_.Submit(now_, job, 7, &key, &batch_);
      StartedFact started;
      started.job_key = key;
      started.attempt = 1;
      started.pid = started.tid = started.pgid = ids_ + 1'000;
      started.ppid = 500;
      started.start_ns = now_.boot.ns;
      core_.OnStarted(now_, started, &batch_);
      if (to_the_end) {
        ExitedFact exited;
        exited.job_key = key;
        exited.status.exit_code = 0;
        core_.OnExited(now_, exited, &batch_);
        core_.OnOutputClosed(now_, key, v1::OutputClosed(), &batch_);
      }
      if (batch_.records.size() > 200) Write();
    }
    Write();
  }
  void WriteSnapshot(const std::string& folder) {
    std::vector<std::string> parts = {core_.State().SerializeAsString()};
    for (const auto& [key, job] : core_.jobs()) {
      internal::v1::JobState state;
      FillJobState(*job, &state);
      parts.push_back(state.SerializeAsString());
    }
    DiskFiles disk;
    auto ids = IdLog::Open(&disk, folder, journal_->id(), 0, IdLog::Options());
    std::string bytes;
    for (const KnownId& id : core_.TakeFreshIds())
      bytes.append(reinterpret_cast<const char*>(&id), sizeof(id));
    if (!ids || (*ids)->Append(bytes)) Die("the ids cannot be written");
    if (const Status bad = journal_->WriteSnapshot(journal_->head(), parts)) Die(bad->message);
  }

 private:
  void Write() {
    if (const Status bad = journal_->Append(batch_.records)) Die(bad->message);
    batch_ = Batch();
    core_.TakeEnded();
  }

  Journal* const journal_;
  Core core_;
  Batch batch_;
  Instant now_{BootTime{1'000'000'000}, WallTime{1'700'000'000'000'000'000}};
  int32_t ids_ = 0;
};

void Restart(const std::string& folder) {
  const std::unique_ptr<Journal> journal = Open(folder);
  Core core(OptionsOf());
  DiskFiles disk;
  std::unique_ptr<IdLog> ids;
  if (const Status bad = RestoreCore(*journal, &disk, folder, &core, &ids)) Die(bad->message);
  const Status bad =
      journal->Read(journal->restored_cursor(), [&](auto cursor, auto key, auto bytes) {
        v1::Event event;
        if (!event.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
        core.Replay(cursor, key, event);
        return true;
      });
  if (bad) Die(bad->message);
  Batch batch;
  core.EndReplay(Instant{BootTime{2'000'000'000}, WallTime{1}}, &batch);
}

uint64_t ReadBytes(const std::string& folder) {
  uint64_t total = 0;
  std::vector<char> buffer(1 << 20);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".log") continue;
    const UniqueFd fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    for (ssize_t size; (size = ::read(fd.get(), buffer.data(), buffer.size())) > 0;)
      total += static_cast<uint64_t>(size);
  }
  return total;
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  const int ended = argc > 1 ? std::atoi(argv[1]) : 20'000;
  const int live = argc > 2 ? std::atoi(argv[2]) : 1'000;
  std::string folder = argc > 3 ? argv[3] : "/var/tmp/brood-restart-XXXXXX";
  if (argc <= 3 && ::mkdtemp(folder.data()) == nullptr) brood::Die("no folder can be made");
  const std::string journal_folder = folder + "/journal";
  {
    const std::unique_ptr<brood::Journal> journal = brood::Open(journal_folder);
    brood::Host host(journal.get());
    host.Run(live, false);
    host.Run(ended, true);
    host.WriteSnapshot(journal_folder);
  }
  uint64_t bytes = 0;
  const double with = brood::Seconds([&] { brood::Restart(journal_folder); });
  const double bare = brood::Seconds([&] { bytes = brood::ReadBytes(journal_folder); });
  for (const auto& entry : std::filesystem::directory_iterator(journal_folder)) {
    const auto kind = entry.path().extension();
    if (kind == ".snapshot" || kind == ".ids") std::filesystem::remove(entry.path());
  }
  const double without = brood::Seconds([&] { brood::Restart(journal_folder); });
  std::printf("%d ended and %d live jobs, %.1f MiB of events\n", ended, live,
              static_cast<double>(bytes) / (1 << 20));
  std::printf("start with a snapshot  %8.1f ms\n", with * 1e3);
  std::printf("start without          %8.1f ms\n", without * 1e3);
  std::printf("bare reading           %8.1f ms\n", bare * 1e3);
  if (argc <= 3) std::filesystem::remove_all(folder);
  return EXIT_SUCCESS;
}
