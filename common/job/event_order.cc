// SPDX-License-Identifier: Apache-2.0
#include "common/job/event_order.h"

#include "common/job/event_rules.h"
#include "common/job/job_fold.h"

namespace brood {
namespace {

constexpr uint32_t kEveryPhase = 255;

std::string Describe(const v1::Event& event) {
  const EventRule* rule = FindEventRule(event.payload_case());
  std::string out = rule != nullptr ? rule->name : "an event without payload";
  if (!event.job_id().empty()) {
    out += " of job '" + event.job_id() + "'";
  } else if (!event.unit().parent().empty()) {
    out += " of parent '" + event.unit().parent() + "'";
  }
  return out + " (seq " + std::to_string(event.seq()) + ", cursor " +
         std::to_string(event.cursor()) + ")";
}

Error Broken(const v1::Event& event, const std::string& rule) {
  Error error;
  error.code = ErrorCode::kInternal;
  error.reason = "EVENT_ORDER";
  error.message = Describe(event) + ": " + rule;
  return error;
}

Status CheckEnvelope(const v1::Event& event) {
  if (event.host().empty()) return Broken(event, "names no host");
  if (event.observer() == v1::OBSERVER_UNSPECIFIED) return Broken(event, "names no observer");
  if (event.evidence() == v1::EVIDENCE_UNSPECIFIED) return Broken(event, "states no evidence");
  return Ok();
}

Status CheckStarted(const v1::Event& event, v1::Mode mode) {
  if (!event.unit().has_pid() || event.unit().pid() <= 0) return Broken(event, "has no pid");
  if (event.unit().mode() != mode) return Broken(event, "has another mode than its STARTING");
  if (mode == v1::MODE_THREAD && !event.unit().has_tid()) {
    return Broken(event, "is of a thread and has no tid");
  }
  return Ok();
}

Status CheckExited(const v1::Event& event) {
  const v1::Exited& exited = event.exited();
  if (exited.has_exit_code() && exited.has_signal()) {
    return Broken(event, "has both an exit code and a signal");
  }
  if (exited.has_exit_code() && (exited.exit_code() < 0 || exited.exit_code() > 255)) {
    return Broken(event, "has exit code " + std::to_string(exited.exit_code()));
  }
  if (exited.has_signal() && (exited.signal() < 1 || exited.signal() > 64)) {
    return Broken(event, "has signal " + std::to_string(exited.signal()));
  }
  if (exited.core_dumped() && !exited.has_signal()) {
    return Broken(event, "dumped a core without a signal");
  }
  return Ok();
}

// What the payload says by itself, and of the events before it in `seen`.
Status CheckEnd(const v1::Event& event, v1::Mode mode, bool cancel_asked, bool timed_out,
                bool suspected, bool over_limit) {
  v1::EndCause cause = v1::END_CAUSE_UNSPECIFIED;
  bool stopped = false;
  if (event.has_exited()) {
    if (mode == v1::MODE_THREAD) return Broken(event, "a thread ends by THREAD_ENDED");
    if (Status bad = CheckExited(event)) return bad;
    cause = event.exited().cause();
  } else if (event.has_thread_ended()) {
    if (mode == v1::MODE_FORK) return Broken(event, "a process ends by EXITED");
    if (event.thread_ended().how_case() == v1::ThreadEnded::HOW_NOT_SET) {
      return Broken(event, "does not say how");
    }
    cause = event.thread_ended().cause();
    stopped = event.thread_ended().has_cancelled();
  } else if (event.has_failed_to_start()) {
    if (event.failed_to_start().step().empty()) return Broken(event, "names no step");
  } else if (event.has_cancelled()) {
    if (!cancel_asked) return Broken(event, "must follow CANCEL_REQUESTED");
  } else if (event.has_lost()) {
    if (event.lost().why().empty()) return Broken(event, "does not say why");
  }
  if (cause == v1::END_CAUSE_CANCELLED && !cancel_asked) {
    return Broken(event, "its cause is a cancel, but no CANCEL_REQUESTED came before");
  }
  if (cause == v1::END_CAUSE_TIMED_OUT && !timed_out) {
    return Broken(event, "its cause is a time-out, but no TIMED_OUT came before");
  }
  if (cause == v1::END_CAUSE_INHERITED_LOCK && !suspected) {
    return Broken(event, "its cause is an inherited lock, but no STUCK_SUSPECTED came before");
  }
  if (cause == v1::END_CAUSE_OUTPUT_LIMIT && !over_limit) {
    return Broken(event, "its cause is its output, but no OUTPUT_LIMIT came before");
  }
  const v1::Exited& exited = event.exited();
  if (cause == v1::END_CAUSE_MEMORY_LIMIT && exited.signal() != 9 && exited.exit_code() != 137) {
    return Broken(event,
                  "its cause is its memory limit, but it ended neither by SIGKILL nor by 137");
  }
  if (stopped && !cancel_asked && !timed_out) {
    return Broken(event, "its thread stopped as asked, but nobody had asked");
  }
  return Ok();
}

}  // namespace

Status EventOrder::CheckCursor(const v1::Event& event) {
  if (event.cursor() == 0) return Broken(event, "has no cursor");
  if (!first_ && event.cursor() <= cursor_) {
    return Broken(event, "its cursor must be greater than " + std::to_string(cursor_));
  }
  if (every_cursor_ && !first_ && !gap_just_now_ && event.cursor() != cursor_ + 1) {
    return Broken(event, "its cursor must be " + std::to_string(cursor_ + 1));
  }
  first_ = false;
  gap_just_now_ = false;
  cursor_ = event.cursor();
  return Ok();
}

Status EventOrder::Check(const v1::Event& event) {
  if (event.has_gap()) {
    if (event.cursor() != 0) return Broken(event, "is never stored and must not have a cursor");
    if (event.gap().why().empty()) return Broken(event, "does not say why");
    if (event.gap().first_cursor() > event.gap().last_cursor()) {
      return Broken(event, "its first cursor lies after its last");
    }
    ++gaps_;
    gap_just_now_ = true;
    return Ok();
  }
  if (Status bad = CheckCursor(event)) return bad;
  if (Status bad = CheckEnvelope(event)) return bad;
  const EventRule* rule = FindEventRule(event.payload_case());
  if (rule == nullptr) return Broken(event, "exactly one payload must be set");
  if (rule->subject == Subject::kParent) {
    if (!event.job_id().empty()) return Broken(event, "is a parent's and must not name a job");
    if (event.unit().parent().empty()) return Broken(event, "does not name its parent");
    return CheckLife(event, &parents_[{event.unit().parent(), event.incarnations().parent()}]);
  }
  if (event.job_id().empty()) {
    // The agent's own: numbered by its cursor alone.
    if (event.has_agent_lost() || event.has_reattached()) return Ok();
    return Broken(event, "must name its job");
  }
  Life* life = &jobs_[event.job_id()];
  if (Status bad = CheckLife(event, life)) return bad;
  return CheckJob(event, life);
}

Status EventOrder::CheckLife(const v1::Event& event, Life* life) {
  if (event.seq() != life->seq + 1) {
    // Only a GAP that this life has not used up yet explains a jump.
    if (life->gaps_taken == gaps_ || event.seq() <= life->seq) {
      return Broken(event, "its seq must be " + std::to_string(life->seq + 1));
    }
    life->whole = false;
    life->phase = kEveryPhase;
  }
  life->gaps_taken = gaps_;
  life->seq = event.seq();
  const EventRule& rule = *FindEventRule(event.payload_case());
  if ((rule.may_come & life->phase) == 0) {
    return Broken(event, "came when it was " + PhaseWords(life->phase) +
                             "; it may come only when it is " + PhaseWords(rule.may_come));
  }
  const bool again = !life->seen.insert(event.payload_case()).second;
  if (again && rule.times != Times::kAnyNumber) return Broken(event, "came a second time");
  if (rule.then != 0) {
    life->phase = rule.then;
  } else {
    life->phase &= rule.may_come;
  }
  return Ok();
}

Status EventOrder::CheckJob(const v1::Event& event, Life* life) {
  if (event.has_received()) {
    life->ring = event.received().spec().output().overflow() == v1::OUTPUT_OVERFLOW_RING;
  }
  if (event.has_starting()) {
    if (life->whole && event.attempt() != life->attempt + 1) {
      return Broken(event, "its attempt must be " + std::to_string(life->attempt + 1));
    }
    life->attempt = event.attempt();
    life->mode = event.starting().mode();
    if (life->mode != v1::MODE_FORK && life->mode != v1::MODE_THREAD) {
      return Broken(event, "must choose MODE_FORK or MODE_THREAD");
    }
    if (event.starting().reason().empty()) return Broken(event, "gives no reason");
    return Ok();
  }
  if (!life->whole) {
    life->attempt = event.attempt();
  } else if (event.attempt() != life->attempt) {
    return Broken(event, "its attempt must be " + std::to_string(life->attempt));
  }
  if (event.has_started() && life->mode != v1::MODE_UNSPECIFIED) {
    return CheckStarted(event, life->mode);
  }
  if (event.has_output()) {
    const v1::Output& output = event.output();
    if (output.stream() != v1::STREAM_STDOUT && output.stream() != v1::STREAM_STDERR) {
      return Broken(event, "names no stream");
    }
    // A ring has lost what it tells of in one piece.
    const bool may_be_gone = !life->whole || life->ring;
    if (output.length() == 0 || (output.length() > (64 << 10) && !may_be_gone)) {
      return Broken(event, "has " + std::to_string(output.length()) + " bytes, not 1 to 65536");
    }
    const int stream = output.stream() == v1::STREAM_STDERR ? 1 : 0;
    if (output.offset() != life->output_ends[stream] &&
        (life->whole || output.offset() < life->output_ends[stream])) {
      return Broken(event, "its offset is " + std::to_string(output.offset()) + " and must be " +
                               std::to_string(life->output_ends[stream]));
    }
    life->output_ends[stream] = output.offset() + output.length();
    return Ok();
  }
  if (event.has_output_closed() && life->whole) {
    const v1::OutputClosed& closed = event.output_closed();
    if (closed.stdout_bytes() != life->output_ends[0] ||
        closed.stderr_bytes() != life->output_ends[1]) {
      return Broken(event, "counts " + std::to_string(closed.stdout_bytes()) + " and " +
                               std::to_string(closed.stderr_bytes()) +
                               " bytes, but OUTPUT told of " +
                               std::to_string(life->output_ends[0]) + " and " +
                               std::to_string(life->output_ends[1]));
    }
    return Ok();
  }
  if (IsEnd(event)) {
    return CheckEnd(event, life->mode,
                    !life->whole || life->seen.count(v1::Event::kCancelRequested) > 0,
                    !life->whole || life->seen.count(v1::Event::kTimedOut) > 0,
                    !life->whole || life->seen.count(v1::Event::kStuckSuspected) > 0,
                    !life->whole || life->seen.count(v1::Event::kOutputLimit) > 0);
  }
  return Ok();
}

Status EventOrder::Finish() const {
  for (const auto& [id, life] : jobs_) {
    if (life.phase != kReleased) {
      Error error;
      error.code = ErrorCode::kInternal;
      error.reason = "EVENT_ORDER";
      error.message = "job '" + id + "': its stream is over after seq " + std::to_string(life.seq) +
                      " without CLEANED";
      return error;
    }
  }
  return Ok();
}

}  // namespace brood
