// SPDX-License-Identifier: Apache-2.0
#include "tests/chaos/judge.h"

#include "common/job/event_order.h"
#include "common/job/job_fold.h"

namespace brood::chaos {
namespace {

// One breach is as good as a thousand of its kind.
constexpr size_t kToldOfOneRule = 5;

class Verdict {
 public:
  void Breach(int rule, const std::string& what) {
    if (++told_[rule] <= kToldOfOneRule)
      breaches_.push_back("rule " + std::to_string(rule) + ": " + what);
  }
  std::vector<std::string> Take() {
    for (const auto& [rule, count] : told_) {
      if (count > kToldOfOneRule) {
        breaches_.push_back("rule " + std::to_string(rule) + ": " +
                            std::to_string(count - kToldOfOneRule) + " more");
      }
    }
    return std::move(breaches_);
  }

 private:
  std::map<int, size_t> told_;
  std::vector<std::string> breaches_;
};

struct Life {
  v1::Job job;
  std::string output;
  bool started = false;
  bool may_be_cut = false;
  uint64_t dropped_bytes = 0;
};

// It was never begun, and by the time that was known its time was over.
bool WasTooLate(const Plan& plan, const Life& life, const Ledger::Runs& runs) {
  return life.job.outcome() == v1::OUTCOME_LOST && !life.started && runs.begun == 0 &&
         plan.may_end_as.count(v1::OUTCOME_TIMED_OUT) > 0;
}

// Attempts that ran nothing, as their agents or parents had died; as agent/core/limits.h has it.
constexpr uint32_t kAttemptsMax = 5;

bool RanOutOfAttempts(const Life& life, const Ledger::Runs& runs) {
  return life.job.outcome() == v1::OUTCOME_LOST && !life.started && runs.begun == 0 &&
         life.job.attempt() >= kAttemptsMax;
}

// The note of its start was in the memory of its parent, as the disk had no room, and died with it.
bool MayHaveBegunUnnoted(const Plan& plan, const Life& life, const Observed& observed) {
  return observed.disk_was_full && observed.parents_died && plan.is_thread && !life.started &&
         life.job.outcome() == v1::OUTCOME_LOST;
}

// Its parent died between the child's first act and its exec, which failed: its slot was read then.
bool FailedUnseen(const Plan& plan, const Life& life, const Ledger::Runs& runs) {
  return plan.may_end_as.count(v1::OUTCOME_FAILED_TO_START) > 0 && runs.begun == 0 &&
         (life.job.exit_code() == 127 || !life.job.has_exit_code());
}

// Rule 5's second part.
bool MayEndWithItsParent(const Plan& plan, const Life& life, const Ledger::Runs& runs) {
  switch (life.job.outcome()) {
    case v1::OUTCOME_PARENT_ENDED:
      return plan.is_thread;
    case v1::OUTCOME_LOST:
    case v1::OUTCOME_FAILED_TO_START:
      return !plan.is_command && !life.started && runs.begun == 0;
    default:
      return false;
  }
}

void JudgeEnd(const std::string& id, const Plan& plan, const Life& life, const Ledger::Runs& runs,
              const Observed& observed, size_t* failed_starts, Verdict* verdict) {
  const v1::Job& job = life.job;
  // Its records may be gone, and then it ran twice, unless it is durable; its bytes may be gone.
  if (observed.power_was_lost) {
    if (plan.is_durable && runs.begun > 1)
      verdict->Breach(3, id + " is durable and began " + std::to_string(runs.begun) + " times");
    return;
  }
  const bool whole = job.outcome() == v1::OUTCOME_EXITED || job.outcome() == v1::OUTCOME_RETURNED;
  if (runs.begun <= 1 && MayHaveBegunUnnoted(plan, life, observed)) return;
  if (runs.begun > 1) verdict->Breach(3, id + " began " + std::to_string(runs.begun) + " times");
  if (!life.started && runs.begun > 0)
    verdict->Breach(3, id + " began and is said not to have started");
  if (!whole) {
    const bool stopped = job.outcome() == v1::OUTCOME_CANCELLED;
    if ((observed.parents_died && MayEndWithItsParent(plan, life, runs)) ||
        plan.may_end_as.count(job.outcome()) > 0 || WasTooLate(plan, life, runs) ||
        RanOutOfAttempts(life, runs)) {
      // As the promise has it.
    } else if (job.outcome() == v1::OUTCOME_FAILED_TO_START && !life.started && runs.begun == 0 &&
               ++*failed_starts <= observed.starts_may_fail) {
      // As it was made to.
    } else if (plan.is_thread && job.outcome() == v1::OUTCOME_THREW &&
               ++*failed_starts <= observed.starts_may_fail) {
      // A thread's pipe is made where it first writes: its own code is told.
    } else if (!stopped) {
      verdict->Breach(4,
                      id + " ended as " + v1::Outcome_Name(job.outcome()) + ": " + job.message());
    } else if (!plan.may_be_cancelled) {
      verdict->Breach(5, id + " was cancelled by nobody");
    }
    if (plan.output.rfind(life.output, 0) != 0)
      verdict->Breach(4, id + " has output that it did not write: '" + life.output + "'");
    return;
  }
  if (observed.ends_may_be_unknown && !job.has_exit_code() && runs.begun == 1) {
    if (plan.output.rfind(life.output, 0) != 0)
      verdict->Breach(4, id + " has output that it did not write: '" + life.output + "'");
    return;
  }
  if (observed.parents_died && FailedUnseen(plan, life, runs)) return;
  if (runs.begun != 1 || runs.ended != 1) {
    verdict->Breach(3, id + " is said to have run, and began " + std::to_string(runs.begun) +
                           " and ended " + std::to_string(runs.ended) + " times");
  }
  if (plan.is_command && (!job.has_exit_code() || job.exit_code() != plan.exit_code)) {
    verdict->Breach(
        4, id + " exited with " + std::to_string(plan.exit_code) + " and is said to have with " +
               (job.has_exit_code() ? std::to_string(job.exit_code()) : "an unknown code"));
  }
  if (!plan.is_command && job.result().number_value() != static_cast<double>(plan.returned)) {
    verdict->Breach(4, id + " returned " + std::to_string(plan.returned) + " and is said to have " +
                           job.result().ShortDebugString());
  }
  const bool cut = life.may_be_cut && plan.output.rfind(life.output, 0) == 0;
  const bool dropped = observed.output_may_be_dropped && plan.output.rfind(life.output, 0) == 0 &&
                       life.output.size() + life.dropped_bytes == plan.output.size();
  if (life.output != plan.output && !cut && !dropped)
    verdict->Breach(4,
                    id + " wrote '" + plan.output + "' and is said to have '" + life.output + "'");
}

void JudgeWatchers(const Observed& observed, Verdict* verdict) {
  const uint64_t head = observed.journal.empty() ? 0 : observed.journal.back().cursor();
  for (size_t i = 0; i < observed.watchers.size(); ++i) {
    const std::string watcher = "watcher " + std::to_string(i);
    uint64_t last = 0;
    for (const uint64_t cursor : observed.watchers[i]) {
      if (cursor != last + 1) {
        verdict->Breach(6, watcher + " was handed event " + std::to_string(cursor) + " after " +
                               std::to_string(last));
      }
      last = cursor;
    }
    if (last != head) {
      verdict->Breach(
          6, watcher + " ended at event " + std::to_string(last) + " of " + std::to_string(head));
    }
  }
}

}  // namespace

std::vector<std::string> Judge(const Observed& observed) {
  Verdict verdict;
  EventOrder order;
  std::map<std::string, Life> lives;
  uint64_t last = 0;
  for (const v1::Event& event : observed.journal) {
    if (event.cursor() != last + 1) {
      verdict.Breach(6, "the journal has event " + std::to_string(event.cursor()) + " after " +
                            std::to_string(last));
    }
    last = event.cursor();
    if (const Status broken = order.Check(event)) verdict.Breach(1, broken->message);
    if (event.job_id().empty()) continue;
    Life& life = lives[event.job_id()];
    life.job.set_job_id(event.job_id());
    FoldEvent(event, &life.job);
    life.started = life.started || event.has_started();
    life.may_be_cut = life.may_be_cut || event.output_closed().may_be_cut();
    if (event.has_output_closed()) life.dropped_bytes = event.output_closed().dropped_bytes();
    if (event.has_output() && event.output().stream() == v1::STREAM_STDOUT)
      life.output += event.output().bytes();
  }
  size_t failed_starts = 0;
  for (const auto& [id, plan] : observed.plans) {
    const auto found = observed.ledger.find(id);
    const Ledger::Runs runs = found == observed.ledger.end() ? Ledger::Runs() : found->second;
    const auto life = lives.find(id);
    if (life == lives.end()) {
      if (observed.power_was_lost && !plan.is_durable) continue;
      if (observed.acknowledged.count(id) > 0)
        verdict.Breach(1, id + " was acknowledged and is gone");
      if (runs.begun > 0) verdict.Breach(2, id + " ran, and is not in the journal");
      continue;
    }
    if (!life->second.job.cleaned()) {
      verdict.Breach(1, id + " has no end, or is not cleaned: it is " +
                            v1::JobState_Name(life->second.job.state()));
      continue;
    }
    JudgeEnd(id, plan, life->second, runs, observed, &failed_starts, &verdict);
  }
  for (const auto& [id, life] : lives) {
    if (observed.plans.count(id) == 0) verdict.Breach(2, id + " was submitted by nobody");
  }
  for (const auto& [id, runs] : observed.ledger) {
    if (observed.plans.count(id) == 0) verdict.Breach(2, id + " ran, and was submitted by nobody");
  }
  if (!observed.power_was_lost) JudgeWatchers(observed, &verdict);
  return verdict.Take();
}

}  // namespace brood::chaos
