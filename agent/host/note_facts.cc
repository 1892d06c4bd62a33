// SPDX-License-Identifier: Apache-2.0
#include "agent/host/note_facts.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <limits>
#include <string>

#include "agent/core/proto_time.h"
#include "agent/core/spec_frame.h"
#include "agent/outbox/slot_file.h"

namespace brood {
namespace {

constexpr int64_t kNanosPerMicro = 1'000;
// Of an exception's text (event.proto, Threw).
constexpr size_t kThrewBytesMax = 1'024;

// The longest that nanoseconds can say (292 years), and no less than none.
void SetMicros(int64_t us, google::protobuf::Duration* out) {
  constexpr int64_t kMicrosMax = std::numeric_limits<int64_t>::max() / kNanosPerMicro;
  SetDuration(std::clamp<int64_t>(us, 0, kMicrosMax) * kNanosPerMicro, out);
}

}  // namespace

StartedFact StartedOfNote(const Note& note) {
  StartedFact fact;
  fact.job_key = note.job_key;
  fact.attempt = note.attempt;
  fact.pid = note.pid;
  fact.tid = note.tid;
  fact.ppid = note.ppid;
  fact.pgid = note.pgid;
  fact.start_ns = note.start_ns;
  fact.fork_ns = note.fork_ns;
  fact.gate_wait_ns = note.gate_wait_ns;
  fact.threads_at_fork = note.threads_at_fork;
  fact.slot = note.slot;
  fact.memory_bytes = note.max_rss_bytes;
  return fact;
}

FailedFact FailedOfNote(const Note& note, std::string_view text) {
  FailedFact fact;
  fact.job_key = note.job_key;
  fact.attempt = note.attempt;
  fact.error_number = note.error_number;
  const size_t end = text.find('\0');
  fact.step = std::string(text.substr(0, end));
  if (end != std::string_view::npos) fact.message = std::string(text.substr(end + 1));
  return fact;
}

WaitStatus StatusOfNote(const Note& note) {
  WaitStatus status;
  if (note.code == CLD_EXITED) status.exit_code = note.status;
  if (note.code == CLD_KILLED || note.code == CLD_DUMPED) status.signal = note.status;
  status.core_dumped = note.code == CLD_DUMPED;
  if ((note.flags & kHasUsage) != 0) {
    v1::ResourceUsage usage;
    SetMicros(note.user_us, usage.mutable_user_time());
    SetMicros(note.system_us, usage.mutable_system_time());
    usage.set_max_rss_bytes(note.max_rss_bytes);
    status.usage = usage;
  }
  return status;
}

bool MayBeOutOfMemory(const WaitStatus& status) {
  return status.signal == SIGKILL || status.exit_code == 128 + SIGKILL;
}

std::optional<std::variant<StartedFact, FailedFact>> StartOfSlot(const StartSlot& start,
                                                                 uint32_t slot) {
  if (start.claim != kClaimedByChild || start.pid <= 0) return std::nullopt;
  if (start.failed_step != 0) {
    FailedFact failed;
    failed.job_key = start.job_key;
    failed.attempt = start.attempt;
    failed.step = ChildStepName(static_cast<ChildStep>(start.failed_step));
    failed.error_number = start.error_number;
    failed.message =
        ErrnoError(start.error_number, "the step '" + failed.step + "' failed").message;
    return failed;
  }
  StartedFact started;
  started.job_key = start.job_key;
  started.attempt = start.attempt;
  started.pid = started.tid = started.pgid = start.pid;
  started.start_ns = start.start_ns;
  started.slot = slot;
  started.evidence = v1::EVIDENCE_REPORTED;
  return started;
}

WaitStatus StatusOfWait(std::optional<int> status) {
  WaitStatus told;
  if (status && WIFEXITED(*status)) told.exit_code = WEXITSTATUS(*status);
  if (status && WIFSIGNALED(*status)) {
    told.signal = WTERMSIG(*status);
    told.core_dumped = WCOREDUMP(*status);
  }
  return told;
}

CallResult ResultOfNote(const Note& note, std::string_view text) {
  CallResult result;
  if (note.kind == NoteKind::kReturned) result.returned = ValueOfBytes(note.value_kind, text);
  if (note.kind == NoteKind::kThrew) result.threw = std::string(text.substr(0, kThrewBytesMax));
  result.stopped = note.kind == NoteKind::kStopHonoured;
  return result;
}

std::optional<CallProgress> ProgressOf(const CallArea& area) {
  if (area.progress_version == 0 || area.progress_version % 2 != 0) return std::nullopt;
  const size_t size = std::min<size_t>(area.progress_text_size, kProgressTextBytes);
  return CallProgress{area.progress_boot_ns, area.progress_fraction,
                      std::string(area.progress_text, size)};
}

}  // namespace brood
