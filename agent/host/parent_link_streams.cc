// SPDX-License-Identifier: Apache-2.0
//
// The streams of a parent's jobs: they come by its socket. Where this process has no descriptor for
// them the kernel drops them; the parent has them still, and they are taken from there.
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/core/proto_time.h"
#include "agent/host/parent_link.h"
#include "agent/process/pipe_reopen.h"
#include "agent/process/process_table.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// Until other jobs have ended, and given descriptors back.
constexpr int64_t kStreamsRetryNanos = 100'000'000;

}  // namespace

void ParentLink::TakeStreams(FrameSocket* receiver, const internal::v1::Streams& streams) {
  const uint64_t job_key = streams.job_key();
  UniqueFd input = streams.input() ? receiver->TakeFd() : UniqueFd();
  if (input) inputs_->Attach(job_key, std::move(input));
  if (!streams.output()) return;
  UniqueFd out = receiver->TakeFd();
  UniqueFd err = receiver->TakeFd();
  Failpoint("output.attach");
  if (out && err) return spool_->Attach(job_key, std::move(out), std::move(err));
  spdlog::warn("out of descriptors: the output of a job is taken later");
  streamless_[job_key];
  AwaitStreams();
}

// An end without the output before it would be told as an end without output.
bool ParentLink::MustWait(const Note& note, std::string_view text) {
  const auto waits = streamless_.find(note.job_key);
  if (waits == streamless_.end()) return false;
  // It never ran, and its parent has no streams of it any more.
  if (note.kind == NoteKind::kFailedToStart) streamless_.erase(waits);
  if (note.kind != NoteKind::kExited) return false;
  waits->second.emplace_back(note, text);
  return true;
}

void ParentLink::AwaitStreams() {
  if (streams_timer_ != 0 || streamless_.empty()) return;
  streams_timer_ = loop_->At(BootTime{BootTimeNanos() + kStreamsRetryNanos}, [this] {
    streams_timer_ = 0;
    for (auto job = streamless_.begin(); job != streamless_.end();) {
      if (!ReopenStreams(job->first)) {
        ++job;
        continue;
      }
      const auto ends = std::move(job->second);
      job = streamless_.erase(job);
      for (const auto& [note, text] : ends) OnNote(note, text);
    }
    AwaitStreams();
  });
}

// False: try again. From the parent, which keeps its ends until the job is done with; else from the
// job itself. True, and nothing is read, where both are gone.
bool ParentLink::ReopenStreams(uint64_t job_key) {
  const std::vector<StartSlot> starts = ReadStarts();
  const auto start = std::find_if(starts.begin(), starts.end(), [job_key](const StartSlot& slot) {
    return slot.job_key == job_key;
  });
  pid_t parent = 0;
  int64_t parent_start_ns = 0;
  bool over = false;
  sequencer_->Look([&](const Core& core) {
    const CoreJob* const job = core.Find(job_key);
    over = job == nullptr || job->ended;
    const auto found = core.parents().find(key_.name);
    if (found == core.parents().end() || found->second.key != key_) return;
    parent = found->second.unit.pid();
    parent_start_ns = DurationNanos(found->second.unit.start());
  });
  bool somebody = false;
  for (const auto& [pid, start_ns] :
       {std::pair(parent, parent_start_ns),
        start == starts.end() ? std::pair<pid_t, int64_t>(0, 0)
                              : std::pair<pid_t, int64_t>(start->pid, start->start_ns)}) {
    if (pid <= 0 || (::kill(pid, 0) != 0 && errno == ESRCH)) continue;
    // Whether it is the one cannot be read without a descriptor.
    somebody = true;
    if (start == starts.end() || !IsSameProcess(pid, start_ns)) continue;
    UniqueFd out = ReopenPipe(pid, start->output_inode);
    UniqueFd err = ReopenPipe(pid, start->error_inode);
    if (!out || !err) continue;
    spool_->Attach(job_key, std::move(out), std::move(err));
    return true;
  }
  return over || !somebody;
}

}  // namespace brood
