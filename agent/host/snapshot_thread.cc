// SPDX-License-Identifier: Apache-2.0
#include "agent/host/snapshot_thread.h"

#include <pthread.h>

#include <cstring>
#include <unordered_set>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "brood/internal/v1/snapshot.pb.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// Jobs that are gathered in one hold of the core's lock.
constexpr int kJobsPerHold = 64;
// How often is looked for what is too old to be kept, where nothing else leads to it.
constexpr absl::Duration kRetainPeriod = absl::Hours(1);

static_assert(sizeof(KnownId) == IdLog::kEntryBytes);

std::string BytesOf(const CoreJob& job) {
  internal::v1::JobState state;
  FillJobState(job, &state);
  return state.SerializeAsString();
}

bool IsDone(const CoreJob& job, uint64_t before) {
  return job.view.cleaned() && job.last_cursor < before;
}

Error Unreadable(const std::string& directory) {
  return Error{ErrorCode::kDataLoss, "JOURNAL_DAMAGED",
               "the newest snapshot in '" + directory +
                   "' is whole, but no snapshot of an agent of this version; move it away",
               ""};
}

}  // namespace

Status RestoreCore(const Journal& journal, JournalFiles* files, const std::string& directory,
                   Core* core, std::unique_ptr<IdLog>* ids) {
  internal::v1::CoreState state;
  bool first = true;
  bool readable = true;
  const Status bad = journal.ReadSnapshot([&](std::string_view part) {
    const int size = static_cast<int>(part.size());
    if (std::exchange(first, false)) {
      readable = state.ParseFromArray(part.data(), size);
      return;
    }
    internal::v1::JobState job;
    readable = readable && job.ParseFromArray(part.data(), size);
    if (readable) core->RestoreJob(job);
  });
  if (bad) return bad;
  const uint64_t cursor = journal.restored_cursor();
  if (!readable || (cursor != 0 && state.next_cursor() != cursor + 1)) return Unreadable(directory);
  Result<std::unique_ptr<IdLog>> log =
      IdLog::Open(files, directory, journal.id(), cursor == 0 ? IdLog::kAll : state.known_ids(),
                  IdLog::Options{.kept = KnownIds::kKept});
  if (!log) return log.error();
  *ids = std::move(*log);
  if ((*ids)->gave_up())
    spdlog::error("no .ids files are in '{}': old ids are not known any more", directory);
  if (cursor == 0) {
    state.set_next_cursor(1);
    state.set_next_key(1);
    state.set_known_ids((*ids)->total());
  }
  const std::string bytes = (*ids)->TakeEntries();
  std::vector<KnownId> known(bytes.size() / sizeof(KnownId));
  if (!known.empty()) std::memcpy(known.data(), bytes.data(), bytes.size());
  core->Restore(state, known);
  return Ok();
}

SnapshotThread::SnapshotThread(Sequencer* sequencer, Journal* journal, std::unique_ptr<IdLog> ids,
                               uint64_t events, uint64_t replayed)
    : period_(events),
      sequencer_(sequencer),
      journal_(journal),
      ids_(std::move(ids)),
      events_(replayed),
      due_(replayed >= events) {}

void SnapshotThread::Start() {
  thread_ = std::thread([this] { Run(); });
}

SnapshotThread::~SnapshotThread() { Stop(); }

void SnapshotThread::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void SnapshotThread::OnWritten(const std::vector<JournalRecord>& records) {
  events_ += records.size();
  for (const JournalRecord& record : records) bytes_ += record.payload.size();
  if (events_ < period_ && bytes_ < kSnapshotBytes) return;
  events_ = bytes_ = 0;
  const absl::MutexLock lock(&mutex_);
  due_ = true;
}

void SnapshotThread::Run() {
  ::pthread_setname_np(::pthread_self(), "snapshots");
  for (;;) {
    bool due = false;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(
                                  +[](SnapshotThread* self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                                       self->mutex_) { return self->stopped_ || self->due_; },
                                  this),
                              kRetainPeriod);
      if (stopped_) return;
      due = std::exchange(due_, false);
    }
    if (!due) {
      journal_->Retain();
      continue;
    }
    // Nothing is lost without it: the next one comes with the next events.
    if (const Status failed = Write()) spdlog::warn("no snapshot was written: {}", failed->message);
  }
}

std::vector<std::pair<uint64_t, std::string>> SnapshotThread::GatherCleaned(uint64_t begun) const {
  std::vector<std::pair<uint64_t, std::string>> jobs;
  uint64_t key = 0;
  bool more = true;
  while (more) {
    sequencer_->Look([&](const Core& core) {
      auto job = core.jobs().upper_bound(key);
      for (int i = 0; i < kJobsPerHold && job != core.jobs().end(); ++i, ++job) {
        key = job->first;
        if (IsDone(*job->second, begun)) jobs.emplace_back(key, BytesOf(*job->second));
      }
      more = job != core.jobs().end();
    });
  }
  return jobs;
}

Status SnapshotThread::Write() {
  const uint64_t begun = sequencer_->Look([](const Core& core) { return core.next_cursor(); });
  std::vector<std::pair<uint64_t, std::string>> cleaned = GatherCleaned(begun);
  internal::v1::CoreState state;
  std::vector<std::string> parts(1);
  Status unwritten;
  absl::Notification written;
  sequencer_->Step(
      [&](Core& core, Instant, Batch*) {
        state = core.State();
        for (const auto& [key, job] : core.jobs()) {
          if (!IsDone(*job, begun)) parts.push_back(BytesOf(*job));
        }
        for (const KnownId& id : core.TakeFreshIds())
          fresh_.append(reinterpret_cast<const char*>(&id), sizeof(id));
      },
      Sequencer::Kept::kWritten,
      [&](const Status& failed) {
        unwritten = failed;
        written.Notify();
      });
  sequencer_->Commit();
  written.WaitForNotification();
  if (unwritten) return unwritten;

  state.SerializeToString(&parts.front());
  // Some may have been forgotten meanwhile.
  const std::unordered_set<uint64_t> kept(state.ended_keys().begin(), state.ended_keys().end());
  for (auto& [key, bytes] : cleaned) {
    if (kept.count(key) > 0) parts.push_back(std::move(bytes));
  }
  if (ids_->total() + fresh_.size() / sizeof(KnownId) != state.known_ids()) {
    return Error{ErrorCode::kInternal, "INTERNAL",
                 "the index of ids has " + std::to_string(ids_->total()) + " and " +
                     std::to_string(fresh_.size() / sizeof(KnownId)) + " entries, the core " +
                     std::to_string(state.known_ids()),
                 ""};
  }
  if (Status bad = ids_->Append(fresh_)) return bad;
  fresh_.clear();
  return journal_->WriteSnapshot(state.next_cursor() - 1, parts);
}

}  // namespace brood
