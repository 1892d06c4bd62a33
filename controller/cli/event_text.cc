// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/event_text.h"

#include <cstdio>

#include "common/job/event_rules.h"
#include "common/job/text.h"
#include "common/job/value.h"
#include "controller/cli/job_text.h"
#include "controller/cli/visible.h"

namespace brood::cli {
namespace {

std::string Micros(const google::protobuf::Duration& time) {
  return std::to_string(time.seconds() * 1'000'000 + time.nanos() / 1000) + " us";
}

std::string Ending(const v1::Exited& exited) {
  std::string text = "status unknown";
  if (exited.has_exit_code()) text = "code " + std::to_string(exited.exit_code());
  if (exited.has_signal()) text = SignalName(exited.signal());
  if (exited.has_returned()) text += ", returned " + ValueToJson(exited.returned().value());
  if (exited.has_threw()) text += ", threw " + Quoted(exited.threw().what());
  if (exited.cause() == v1::END_CAUSE_CANCELLED) text += ", cancelled";
  if (exited.cause() == v1::END_CAUSE_TIMED_OUT) text += ", timed out";
  if (exited.cause() == v1::END_CAUSE_OUTPUT_LIMIT) text += ", ended for its output";
  if (exited.cause() == v1::END_CAUSE_INHERITED_LOCK) text += ", held by an inherited lock";
  if (exited.cause() == v1::END_CAUSE_MEMORY_LIMIT) text += ", its memory limit was reached";
  return text;
}

std::string Ending(const v1::ThreadEnded& ended) {
  switch (ended.how_case()) {
    case v1::ThreadEnded::kReturned:
      return "returned " + ValueToJson(ended.returned().value());
    case v1::ThreadEnded::kThrew:
      return "threw " + Quoted(ended.threw().what());
    case v1::ThreadEnded::kCancelled:
      return "stopped as asked";
    case v1::ThreadEnded::kParentEnded:
      return ended.parent_ended().culprit_job_id().empty()
                 ? "its parent ended"
                 : "its parent ended, crashed by " + ended.parent_ended().culprit_job_id();
    default:
      return "";
  }
}

std::string HazardText(const v1::Hazard& hazard) {
  const std::string job = hazard.job_id().empty() ? "not recorded" : hazard.job_id();
  switch (hazard.kind()) {
    case v1::HAZARD_KIND_MUTEX:
      return "mutex " + hazard.name() + " held by " + job;
    case v1::HAZARD_KIND_STREAM:
      return "lock of " + hazard.name() + " held";
    default:
      return "thread " + job;
  }
}

std::string Started(const v1::Event& event) {
  std::string text = "pid " + std::to_string(event.unit().pid());
  if (event.unit().mode() == v1::MODE_THREAD) text += ", tid " + std::to_string(event.unit().tid());
  if (event.unit().has_ppid()) text += ", ppid " + std::to_string(event.unit().ppid());
  text += ", took " + Micros(event.started().fork_time());
  if (event.started().has_memory_bytes())
    text += " to copy " + std::to_string(event.started().memory_bytes() >> 10) + " KiB";
  for (const v1::Hazard& hazard : event.started().hazards())
    text += ", hazard: " + HazardText(hazard);
  return text;
}

std::string Ended(const v1::ParentEnded& ended) {
  std::string text = "status unknown";
  if (ended.has_exit_code()) text = "code " + std::to_string(ended.exit_code());
  if (ended.has_signal()) text = SignalName(ended.signal());
  if (!ended.culprit_job_id().empty()) text += ", crashed by " + ended.culprit_job_id();
  return text;
}

std::string Stuck(const v1::StuckSuspected& stuck) {
  std::string text = "waits for a lock that nobody can open";
  if (stuck.has_owner_tid()) text += ", of thread " + std::to_string(stuck.owner_tid());
  if (!stuck.owner_job_id().empty()) text += " (job " + stuck.owner_job_id() + ")";
  return text + (stuck.has_owner_tid() ? ", which is not in this process" : ", owner not recorded");
}

std::string Written(const v1::Memory& memory) {
  std::string text = memory.cell() + ": " +
                     (memory.has_before() ? ValueToJson(memory.before()) : "(new)") + " -> " +
                     ValueToJson(memory.after()) + (memory.cut() ? " (cut)" : "");
  if (memory.writes() > 1) text += ", " + std::to_string(memory.writes()) + " writes";
  text += ", now written " + std::to_string(memory.version()) + " times, seen in: ";
  std::string seen;
  for (const std::string& who : memory.visible_to()) seen += (seen.empty() ? "" : ", ") + who;
  return text + (seen.empty() ? "nobody that was read" : seen);
}

std::string Stream(v1::Stream stream) { return stream == v1::STREAM_STDERR ? "stderr" : "stdout"; }

std::string Closed(const v1::OutputClosed& closed) {
  const auto kept = [](uint64_t begin, uint64_t end) {
    return std::to_string(end - begin) + (begin > 0 ? " (from " + std::to_string(begin) + ")" : "");
  };
  std::string text = kept(closed.stdout_begin(), closed.stdout_bytes()) + " + " +
                     kept(closed.stderr_begin(), closed.stderr_bytes()) + " bytes";
  if (closed.dropped_bytes() > 0)
    text += ", " + std::to_string(closed.dropped_bytes()) + " thrown away";
  if (closed.held_open()) text += ", still held open";
  if (closed.held_open_unknown()) text += ", perhaps still held open";
  if (closed.may_be_cut()) text += ", may be cut";
  return text;
}

}  // namespace

std::string EventName(const v1::Event& event) {
  const EventRule* const rule = FindEventRule(event.payload_case());
  return rule != nullptr ? rule->name : "UNKNOWN";
}

std::string EventDetails(const v1::Event& event) {
  switch (event.payload_case()) {
    case v1::Event::kQueued:
      return "position " + std::to_string(event.queued().position());
    case v1::Event::kStarting:
      return std::string(event.starting().mode() == v1::MODE_THREAD ? "thread" : "fork") + ": " +
             event.starting().reason();
    case v1::Event::kStarted:
      return Started(event);
    case v1::Event::kOutput:
      return Stream(event.output().stream()) + " " + std::to_string(event.output().length()) +
             " bytes at " + std::to_string(event.output().offset());
    case v1::Event::kProgress:
      return std::to_string(static_cast<int>(event.progress().fraction() * 100)) + " % " +
             event.progress().text();
    case v1::Event::kMemory:
      return Written(event.memory());
    case v1::Event::kMemoryPages:
      return std::to_string(event.memory_pages().private_dirty() >> 10) + " KiB its own, " +
             std::to_string(event.memory_pages().shared_dirty() >> 10) +
             " KiB shared with its parent";
    case v1::Event::kStuckSuspected:
      return Stuck(event.stuck_suspected());
    case v1::Event::kReparented:
      return "ppid " + std::to_string(event.reparented().old_ppid()) + " -> " +
             std::to_string(event.reparented().new_ppid()) +
             (event.reparented().adopter().empty() ? "" : " " + event.reparented().adopter());
    case v1::Event::kDescendantSeen:
      return "pid " + std::to_string(event.descendant_seen().descendant().pid());
    case v1::Event::kDescendantExited:
      return "pid " + std::to_string(event.descendant_exited().descendant().pid());
    case v1::Event::kSignalled:
      return SignalName(event.signalled().signal()) +
             (event.signalled().whole_group() ? " to its group" : "") +
             (event.signalled().error_number() != 0
                  ? ": " + ErrnoSentence(event.signalled().error_number())
                  : "");
    case v1::Event::kStopped:
      return SignalName(event.stopped().signal());
    case v1::Event::kCancelRequested:
      return "by " + event.cancel_requested().by();
    case v1::Event::kParentStarted:
      return event.unit().parent() + ", pid " + std::to_string(event.unit().pid());
    case v1::Event::kParentEnding:
      return event.unit().parent() + ", " + v1::ParentEnd_Name(event.parent_ending().how());
    case v1::Event::kParentEnded:
      return event.unit().parent() + ", " + Ended(event.parent_ended());
    case v1::Event::kExited:
      return Ending(event.exited());
    case v1::Event::kThreadEnded:
      return Ending(event.thread_ended());
    case v1::Event::kFailedToStart:
      return event.failed_to_start().message();
    case v1::Event::kLost:
      return event.lost().why();
    case v1::Event::kOutputClosed:
      return Closed(event.output_closed());
    case v1::Event::kOutputLimit:
      return Stream(event.output_limit().stream()) + " went past " +
             std::to_string(event.output_limit().limit()) + " bytes";
    case v1::Event::kSurvivors:
      return std::to_string(event.survivors().total()) + " processes live on";
    case v1::Event::kGap:
      return event.gap().why();
    default:
      return "";
  }
}

std::string EventLine(const std::string& host, const v1::Event& event) {
  const std::string time = TimeText(event.wall());
  const std::string whose = host + "/" + (event.job_id().empty() ? "-" : event.job_id());
  std::string line = time.size() > 11 ? time.substr(11) : "-";
  line += "  " + whose + "  " + std::to_string(event.seq()) + "  " + EventName(event);
  const std::string details = EventDetails(event);
  return line + (details.empty() ? "" : "  " + Visible(details));
}

}  // namespace brood::cli
