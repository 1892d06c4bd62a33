// SPDX-License-Identifier: Apache-2.0
//
// The lives of parents, and what their ends mean for the jobs in them.
#include <utility>

#include "agent/core/core.h"
#include "agent/core/limits.h"
#include "agent/core/proto_time.h"
#include "common/base/planted_bug.h"
#include "common/job/mode_choice.h"

namespace brood {

void Core::BeginParent(ParentEntry* parent, Batch* batch) {
  ++parent->key.incarnation;
  parent->state = v1::PARENT_STATE_STARTING;
  parent->seq = 0;
  parent->unit.Clear();
  parent->asked_end = v1::PARENT_END_UNSPECIFIED;
  parent->of_other_boot = false;
  parent->ending_said = false;
  parent->answers = false;
  AskForStart(*parent, batch);
}

void Core::AskForStart(const ParentEntry& parent, Batch* batch) {
  StartParentEffect start;
  start.parent = parent.key;
  start.libraries = parent.asked_libraries;
  // A slot is held until the agent has read the job's end: room for as many again.
  start.call_slots = 2 * options_.process_slots + 16;
  batch->effects.push_back(std::move(start));
}

void Core::OnSupervisorChanged(Batch* batch) {
  for (const auto& [name, parent] : parents_) {
    if (parent.state == v1::PARENT_STATE_STARTING && !parent.unit.has_pid())
      AskForStart(parent, batch);
  }
}

Result<ParentKey> Core::StartParent(Instant, const std::string& name,
                                    const std::vector<std::string>& libraries, Batch* batch) {
  if (trouble_ && name != kDefaultParent) return NothingNew();
  if (state_ == v1::HOST_STATE_STOPPING) {
    return Error{ErrorCode::kUnavailable, "STOPPING", "host '" + options_.host + "' is stopping",
                 ""};
  }
  const auto known = parents_.find(name);
  if (known == parents_.end() && parents_.size() >= kParentsMax) {
    return Error{ErrorCode::kResourceExhausted, "TOO_MANY_PARENTS",
                 "host '" + options_.host + "' has " + std::to_string(kParentsMax) +
                     " parents, its limit; end one",
                 "name"};
  }
  ParentEntry& parent = parents_[name];
  parent.key.name = name;
  switch (parent.state) {
    case v1::PARENT_STATE_STARTING:
    case v1::PARENT_STATE_RUNNING:
      if (libraries == parent.asked_libraries) return parent.key;
      return Error{ErrorCode::kAlreadyExists, "PARENT_RUNS",
                   "parent '" + name +
                       "' runs with other libraries; end it first (brood parent end " + name + ")",
                   "libraries"};
    case v1::PARENT_STATE_ENDING:
      return Error{ErrorCode::kFailedPrecondition, "PARENT_ENDING",
                   "parent '" + name + "' is ending; try again when it has", "name"};
    default:
      break;
  }
  parent.asked_libraries = libraries;
  BeginParent(&parent, batch);
  return parent.key;
}

Result<ParentKey> Core::EndParent(Instant, const std::string& name, v1::ParentEnd how,
                                  Batch* batch) {
  const auto found = parents_.find(name);
  if (found == parents_.end() || found->second.state == v1::PARENT_STATE_ENDED) {
    const bool ended = found != parents_.end() && found->second.key.incarnation != 0;
    return Error{ErrorCode::kNotFound, "NO_SUCH_PARENT",
                 "no parent '" + name + "' runs on host '" + options_.host + "'" +
                     (ended ? "; it has ended" : ""),
                 "name"};
  }
  ParentEntry& parent = found->second;
  if (parent.state == v1::PARENT_STATE_STARTING) {
    return Error{ErrorCode::kFailedPrecondition, "PARENT_STARTING",
                 "parent '" + name + "' is being started; try again when it runs", "name"};
  }
  if (parent.state == v1::PARENT_STATE_ENDING) {
    const bool left = parent.asked_end == v1::PARENT_END_THREAD_EXIT;
    if (left && how == v1::PARENT_END_KILL) {
      parent.asked_end = how;
      batch->effects.push_back(KillParentEffect{parent.key});
      return parent.key;
    }
    return Error{ErrorCode::kFailedPrecondition, "PARENT_ENDING",
                 "parent '" + name + "' is ending already" +
                     (left ? ": its main thread has left, and it ends with the last of its threads "
                             "(or by how = KILL)"
                           : ""),
                 "name"};
  }
  parent.state = v1::PARENT_STATE_ENDING;
  parent.asked_end = how == v1::PARENT_END_UNSPECIFIED ? v1::PARENT_END_RETURN : how;
  batch->effects.push_back(EndParentEffect{parent.key, parent.asked_end});
  return parent.key;
}

void Core::OnParentStarted(Instant now, const ParentKey& key, const v1::Unit& unit, Batch* batch) {
  ParentEntry& entry = parents_[key.name];
  if (key.incarnation > entry.key.incarnation && entry.state == v1::PARENT_STATE_ENDED) {
    // An earlier agent had asked for it, and did not live to hear of it.
    entry.key = key;
    entry.state = v1::PARENT_STATE_STARTING;
    entry.seq = 0;
    entry.unit.Clear();
    entry.asked_end = v1::PARENT_END_UNSPECIFIED;
    entry.of_other_boot = false;
    entry.ending_said = false;
    entry.answers = false;
  }
  ParentEntry* const parent = Current(key);
  if (parent == nullptr || parent->unit.has_pid()) return;
  parent->unit = unit;
  parent->start_wall_ns = now.wall.ns;
  Begin(now, nullptr, v1::OBSERVER_SUPERVISOR, v1::EVIDENCE_SEEN).mutable_parent_started();
  EmitParent(parent, batch);
}

void Core::OnParentReady(Instant now, const ParentKey& key, std::vector<v1::Task> tasks,
                         std::vector<std::string> libraries, Batch* batch) {
  ParentEntry* const parent = Current(key);
  if (parent == nullptr || parent->state == v1::PARENT_STATE_ENDED) return;
  parent->tasks.clear();
  for (v1::Task& task : tasks) parent->tasks[task.name()] = std::move(task);
  parent->libraries = std::move(libraries);
  parent->answers = true;
  if (parent->state == v1::PARENT_STATE_STARTING) parent->state = v1::PARENT_STATE_RUNNING;
  BindReplayed(now, parent, batch);
  TakeUnclosed(key);
  // The agent may have died between the journal and the parent: then nobody will ever start those,
  // or has told these to stop.
  AskKnownEffect asked{key, {}};
  for (const std::set<uint64_t>& live : parent->live) {
    for (const uint64_t job_key : live) {
      const CoreJob* const job = Find(job_key);
      if (job == nullptr || !job->replayed || job->parent != key) continue;
      if (!job->started()) {
        // A durable job that waits for the disk has not been sent yet.
        if (job->unsynced_start != 0) continue;
        asked.job_keys.push_back(job_key);
      } else if (job->is_thread() && job->cause != v1::END_CAUSE_UNSPECIFIED) {
        batch->effects.push_back(StopCallEffect{key, job_key});
      }
    }
  }
  if (!asked.job_keys.empty()) batch->effects.push_back(std::move(asked));
  // Or that it may let go of these: it would hold their slots for ever.
  for (const auto& [job_key, job] : jobs_) {
    if (job->replayed && job->output_closed && job->parent == key)
      batch->effects.push_back(DrainedEffect{key, job_key});
  }
  Dispatch(now, batch);
}

void Core::OnUnknownToParent(Instant now, const ParentKey& key,
                             const std::vector<uint64_t>& job_keys, Batch* batch) {
  for (const uint64_t job_key : job_keys) {
    CoreJob* const job = Live(job_key);
    ParentEntry* const parent = Current(key);
    if (job == nullptr || job->parent != key || job->started() || parent == nullptr) continue;
    if (job->cause == v1::END_CAUSE_CANCELLED) {
      CancelUnsent(now, job, batch);
      continue;
    }
    std::optional<std::string> why = WhyNotAgain(*job);
    if (!why && job->cause != v1::END_CAUSE_UNSPECIFIED) why = "its time was over";
    if (!why && parent->state != v1::PARENT_STATE_RUNNING) why = "its parent is ending";
    if (!why) {
      if (const Status refused = Bind(job, *parent)) why = refused->message;
    }
    if (why) {
      LoseUnsent(now, job, "the agent ended before the job was sent to its parent, and " + *why,
                 batch);
      continue;
    }
    // The attempt is spent, and ran nothing: another one.
    DisarmTimers(job);
    --running_[job->is_thread()];
    Launch(now, job, parent, batch);
  }
}

void Core::LoseUnsent(Instant now, CoreJob* job, const std::string& why, Batch* batch) {
  Lose(now, job, why, batch);
  CloseOutput(now, job, v1::OutputClosed(), batch);
  CleanIfDone(now, job, batch);
}

// It never ran, unless another boot hides that.
void Core::Lose(Instant now, CoreJob* job, const std::string& why, Batch* batch) {
  v1::Lost* const lost = Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_INFERRED).mutable_lost();
  const bool hidden = IsOfOtherBoot(*job);
  lost->set_why(hidden ? "the host was booted again while it was being started" : why);
  lost->set_may_have_run(hidden);
  Emit(job, batch);
  EndJob(now, job, batch);
}

void Core::OnParentFailed(Instant now, const ParentKey& key, const std::string& why, Batch* batch) {
  ParentEntry* const parent = Current(key);
  if (parent == nullptr || parent->state == v1::PARENT_STATE_ENDED) return;
  parent->state = v1::PARENT_STATE_ENDED;
  FailLine(now, parent, why, batch);
}

// What waits for it would wait for ever.
void Core::FailLine(Instant now, ParentEntry* parent, const std::string& why, Batch* batch) {
  for (auto& line : parent->lines) {
    while (!line.empty()) {
      CoreJob* const job = Get(*line.begin());
      Leave(job);
      v1::FailedToStart* const failed =
          Begin(now, job, v1::OBSERVER_AGENT, v1::EVIDENCE_SEEN).mutable_failed_to_start();
      failed->set_step("parent");
      failed->set_message("parent '" + parent->key.name + "' could not be started: " + why);
      Emit(job, batch);
      EndJob(now, job, batch);
      CloseOutput(now, job, v1::OutputClosed(), batch);
      CleanIfDone(now, job, batch);
    }
  }
}

void Core::OnParentEnding(Instant now, const ParentKey& key, v1::ParentEnd how, Batch* batch) {
  ParentEntry* const parent = Current(key);
  if (parent == nullptr || parent->state == v1::PARENT_STATE_ENDED) return;
  parent->state = v1::PARENT_STATE_ENDING;
  // It may have been asked to be killed since it began to end by itself.
  if (parent->asked_end != v1::PARENT_END_KILL) parent->asked_end = how;
  if (std::exchange(parent->ending_said, true)) return;
  Begin(now, nullptr, v1::OBSERVER_PARENT, v1::EVIDENCE_SEEN).mutable_parent_ending()->set_how(how);
  EmitParent(parent, batch);
}

void Core::OnParentEnded(Instant now, const ParentKey& key, const ParentEndFact& fact,
                         Batch* batch) {
  ParentEntry* const parent = Current(key);
  if (parent == nullptr || parent->state == v1::PARENT_STATE_ENDED) return;
  const bool asked = parent->asked_end != v1::PARENT_END_UNSPECIFIED;
  const CoreJob* const culprit = asked ? nullptr : Find(fact.culprit_job_key);
  v1::ParentEnded ended;
  ended.set_how(parent->asked_end);
  if (fact.status.exit_code) ended.set_exit_code(*fact.status.exit_code);
  if (fact.status.signal) ended.set_signal(*fact.status.signal);
  if (culprit != nullptr) {
    ended.set_culprit_job_id(culprit->view.job_id());
    crashed_libraries_.insert(LibraryOf(culprit->view.spec().call().task()));
  }
  const std::string culprit_id = ended.culprit_job_id();
  *Begin(now, nullptr, fact.observer, v1::EVIDENCE_SEEN).mutable_parent_ended() = ended;
  EmitParent(parent, batch);

  v1::Parent last = ViewParent(*parent);
  last.set_state(v1::PARENT_STATE_ENDED);
  *last.mutable_ended() = ended;
  ended_parents_.push_back(std::move(last));
  if (ended_parents_.size() > kEndedParentsKept) ended_parents_.pop_front();
  parent->state = v1::PARENT_STATE_ENDED;

  // Its threads ended with it, by the kernel's own doing. Its processes go on;
  // the supervisor waits for them. What it was sent and did not start never ran,
  // and waits for the next life, if there is one.
  const std::set<uint64_t> threads = parent->live[1];
  const std::set<uint64_t> processes = parent->live[0];
  for (const std::set<uint64_t>& jobs : {threads, processes}) {
    for (const uint64_t job_key : jobs) {
      CoreJob* const job = Live(job_key);
      if (job == nullptr) continue;
      if (job->started() && !job->is_thread() && !Planted(Bug::kRunsAgain)) {
        AskAdopter(*job, batch);
        continue;
      }
      if (job->started()) {
        LoseThread(now, job, culprit_id, batch);
        continue;
      }
      if (CanWaitForNextLife(*job)) {
        WaitForNextLife(job, parent);
      } else if (job->cause == v1::END_CAUSE_CANCELLED) {
        CancelUnsent(now, job, batch);
      } else {
        Lose(now, job, "its parent ended before it was started", batch);
      }
    }
  }
  TakeUnclosed(key);
  MatchOrphans(now, parent, batch);
  // Somebody waits for the parent that starts by itself.
  const bool waited_for = !parent->lines[0].empty() || !parent->lines[1].empty();
  if (key.name == kDefaultParent && waited_for && state_ != v1::HOST_STATE_STOPPING) {
    // A disk that takes nothing takes no parent's files: then once it does, see OnJournalTrouble.
    if (!trouble_) BeginParent(parent, batch);
  } else if (waited_for) {
    parent->state = v1::PARENT_STATE_STARTING;  // So that the line is failed by the same rule.
    OnParentFailed(now, key, "it ended", batch);
  }
}

bool Core::CanWaitForNextLife(const CoreJob& job) const {
  // What its parent noted may have been lost with the power: it is not started twice.
  return !IsOfOtherBoot(job) && job.parent.name == kDefaultParent &&
         state_ != v1::HOST_STATE_STOPPING && job.cause == v1::END_CAUSE_UNSPECIFIED &&
         job.view.attempt() < kAttemptsMax && !WhyNotAgain(job);
}

// At its old place in the line.
void Core::WaitForNextLife(CoreJob* job, ParentEntry* parent) {
  job->unsynced_start = 0;
  DisarmTimers(job);
  job->holds_slot = false;
  --running_[job->is_thread()];
  parent->live[job->is_thread()].erase(job->key);
  job->waits = true;
  parent->lines[job->is_thread()].insert(job->key);
  ++queued_;
}

void Core::AskAdopter(const CoreJob& job, Batch* batch) {
  if (job.reparented) return;
  batch->effects.push_back(AdopterEffect{job.key, job.view.pid(), job.start_ns});
}

void Core::OnReparented(Instant now, const ReparentedFact& fact, Batch* batch) {
  CoreJob* const job = Live(fact.job_key);
  if (job == nullptr || job->is_thread() || !job->started() || job->reparented) return;
  if (fact.new_ppid == job->view.ppid()) return;
  job->reparented = true;
  v1::Reparented* const reparented =
      Begin(now, job, fact.observer, v1::EVIDENCE_SEEN).mutable_reparented();
  reparented->set_old_ppid(job->view.ppid());
  reparented->set_new_ppid(fact.new_ppid);
  reparented->set_adopter(fact.adopter);
  Emit(job, batch);
}

bool Core::IsOver(const ParentKey& life) const {
  const auto parent = parents_.find(life.name);
  return parent == parents_.end() || parent->second.key != life ||
         parent->second.state == v1::PARENT_STATE_ENDED;
}

v1::Parent Core::ViewParent(const ParentEntry& parent) const {
  v1::Parent view;
  view.set_name(parent.key.name);
  view.set_incarnation(parent.key.incarnation);
  view.set_pid(parent.unit.pid());
  view.set_state(parent.state);
  view.set_forks(static_cast<uint32_t>(parent.live[0].size()));
  view.set_threads(static_cast<uint32_t>(parent.live[1].size()));
  for (const std::string& library : parent.libraries) view.add_libraries(library);
  if (parent.start_wall_ns != 0) SetTimestamp(parent.start_wall_ns, view.mutable_start_time());
  return view;
}

}  // namespace brood
