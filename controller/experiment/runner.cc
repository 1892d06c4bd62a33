// SPDX-License-Identifier: Apache-2.0
#include "controller/experiment/runner.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/job/job_fold.h"
#include "controller/experiment/event_log.h"

namespace brood {
namespace {

// What every agent does within milliseconds; the rest is for a machine that is very busy.
constexpr absl::Duration kAnswerWithin = absl::Seconds(20);
// From SIGTERM to SIGKILL for what an experiment leaves behind: nobody needs its last words.
constexpr int64_t kLeftoverGraceNanos = 200'000'000;
// Until everything of it is cleaned; a thread that is deaf goes with its parent.
constexpr absl::Duration kCleanWithin = absl::Seconds(30);
constexpr uint32_t kBatch = 64;  // jobs of one request, as the API states it
constexpr int kIdsPerRequest = 1'024;

class Runner {
 public:
  Runner(Connection& connection, const Experiment& experiment, const RunSettings& settings)
      : connection_(connection),
        experiment_(experiment),
        settings_(settings),
        log_(connection, settings.prefix + "-") {}

  Result<Observations> Run() {
    seen_.host = connection_.address().name;
    Result<v1::GetHostResponse> host = connection_.GetHost(v1::GetHostRequest());
    if (!host) return host.error();
    seen_.about = host->host();
    if (Status failed = log_.Open(kAnswerWithin)) return *failed;
    for (size_t i = 0; i < experiment_.steps.size(); ++i) {
      if (!seen_.broken.empty()) {
        SkipStep(i);
        continue;
      }
      if (settings_.progress) settings_.progress(i + 1);
      Status failed = Stopped() ? Status(Interrupted()) : DoStep(experiment_.steps[i]);
      if (!failed) failed = log_.error();
      if (!failed) continue;
      seen_.broken = "step " + std::to_string(i + 1) + " (line " +
                     std::to_string(experiment_.steps[i].place.line) +
                     ") failed: " + failed->message;
      const std::string& name = experiment_.steps[i].name;
      if (!name.empty()) seen_.not_run[name] = seen_.broken;
    }
    CleanUp();
    Collect();
    return std::move(seen_);
  }

 private:
  bool Stopped() const { return settings_.stop != nullptr && settings_.stop->load(); }

  static Error Interrupted() {
    return Error{ErrorCode::kAborted, "INTERRUPTED", "it was interrupted", ""};
  }

  void SkipStep(size_t index) {
    const std::string& name = experiment_.steps[index].name;
    if (!name.empty()) {
      seen_.not_run[name] =
          "step " + std::to_string(index + 1) + " never ran, because " + seen_.broken;
    }
  }

  std::string RealName(const std::string& name) const { return settings_.prefix + "-" + name; }
  std::string ParentOf(const Step& step) const {
    return step.parent.empty() ? "" : RealName(step.parent);
  }

  Status DoStep(const Step& step) {
    switch (step.kind) {
      case StepKind::kStartParent:
        return StartParent(step);
      case StepKind::kCall:
      case StepKind::kRun:
        return Submit(step);
      case StepKind::kWait:
        return Wait(step);
      case StepKind::kRead:
        return Read(step);
      case StepKind::kEndParent:
        return EndParent(step);
      case StepKind::kCancel:
        return Cancel(IdsOf(step.target), -1);
      case StepKind::kSignal:
        return Signal(step);
    }
    return Ok();
  }

  Status StartParent(const Step& step) {
    v1::StartParentRequest request;
    request.set_name(RealName(step.name));
    for (const std::string& library : step.libraries) request.add_libraries(library);
    started_parents_.insert(request.name());
    Result<v1::StartParentResponse> answer = connection_.StartParent(request);
    if (!answer) return answer.error();
    seen_.parents[step.name] = ObservedParent{step.name, answer->parent(), {}};
    if (!step.watch) return Ok();
    return log_.WatchMemory(request.name(), step.watched_cells, kAnswerWithin);
  }

  Status EndParent(const Step& step) {
    v1::EndParentRequest request;
    request.set_name(RealName(step.target));
    request.set_how(step.how);
    const Result<v1::EndParentResponse> answer = connection_.EndParent(request);
    if (!answer) return answer.error();
    return Ok();
  }

  // A group is to live all at once: where there are too few slots, the rest would wait.
  Status CheckSlots(const Step& step, uint32_t* times) {
    if (step.times == 1) return Ok();
    Result<v1::GetHostResponse> host = connection_.GetHost(v1::GetHostRequest());
    if (!host) return host.error();
    const v1::Host& now = host->host();
    const bool thread = step.spec.mode() == v1::MODE_THREAD;
    const uint32_t slots = thread ? now.thread_slots() : now.process_slots();
    const uint32_t used = thread ? now.threads() : now.processes();
    const uint32_t free = slots > used ? slots - used : 0;
    if (step.up_to) *times = std::max<uint32_t>(1, std::min(*times, free));
    if (*times <= free) return Ok();
    return Error{ErrorCode::kResourceExhausted, "TOO_FEW_SLOTS",
                 "'" + step.name + "' needs " + std::to_string(*times) + " " +
                     (thread ? "thread" : "process") + " slots at once, and the host has " +
                     std::to_string(free) + " free; start its agent with " +
                     (thread ? "--thread-slots" : "--slots"),
                 "times"};
  }

  Status Submit(const Step& step) {
    std::vector<std::string>& ids = ids_[step.name];
    uint32_t times = step.times;
    if (Status failed = CheckSlots(step, &times)) return failed;
    for (uint32_t first = 0; first < times; first += kBatch) {
      v1::SubmitJobsRequest request;
      for (uint32_t i = first; i < std::min(first + kBatch, times); ++i) {
        v1::JobSubmission* const job = request.add_jobs();
        job->set_job_id(RealName(step.name) + (times == 1 ? "" : "." + std::to_string(i + 1)));
        *job->mutable_spec() = step.spec;
        job->mutable_spec()->set_parent(ParentOf(step));
        job->mutable_spec()->set_run_id(settings_.prefix);
        ids.push_back(job->job_id());
      }
      const Result<v1::SubmitJobsResponse> answer = connection_.SubmitJobs(request);
      if (!answer) return answer.error();
      for (const v1::SubmittedJob& one : answer->accepted()) {
        if (one.error_code() == 0) continue;
        return Error{static_cast<ErrorCode>(one.error_code()), one.error_reason(),
                     one.error_message(), one.error_field()};
      }
    }
    return Ok();
  }

  std::vector<std::string> IdsOf(const std::string& name) const {
    const auto found = ids_.find(name);
    return found == ids_.end() ? std::vector<std::string>() : found->second;
  }

  static bool Has(const std::vector<v1::Event>& events, const std::string& name) {
    return std::any_of(events.begin(), events.end(), [&name](const v1::Event& event) {
      if (name == "ended") return IsEnd(event);
      return v1::Event::descriptor()->FindFieldByName(name)->number() == event.payload_case();
    });
  }

  Status Wait(const Step& step) {
    const std::vector<std::string> ids = IdsOf(step.target);
    std::string missing;
    bool never = false;
    const bool came = log_.WaitUntil(
        [&](const EventLog::Events& jobs, const EventLog::Events& parents) {
          missing.clear();
          if (ids.empty()) {
            const auto parent = parents.find(RealName(step.target));
            const bool there = parent != parents.end() && Has(parent->second, step.event);
            if (!there) missing = step.target;
            return there;
          }
          for (const std::string& id : ids) {
            const auto job = jobs.find(id);
            if (job != jobs.end() && Has(job->second, step.event)) continue;
            missing = id;
            // After its last event no other comes.
            never = job != jobs.end() && Has(job->second, "cleaned");
            if (never) return true;
          }
          return missing.empty();
        },
        absl::Nanoseconds(step.within_ns), settings_.stop);
    if (came && !never) return Ok();
    if (Stopped()) return Interrupted();
    if (Status failed = log_.error()) return failed;
    return Error{never ? ErrorCode::kFailedPrecondition : ErrorCode::kDeadlineExceeded, "NO_EVENT",
                 "'" + missing + "' " + (never ? "ended without" : "did not come to") + " '" +
                     step.event + "'" + (never ? "" : " in time"),
                 ""};
  }

  Status Read(const Step& step) {
    v1::ReadMemoryRequest request;
    request.set_parent(ParentOf(step));
    request.add_cells(step.cell);
    request.set_copies(step.copies);
    const Result<v1::ReadMemoryResponse> answer = connection_.ReadMemory(request);
    if (!answer) return answer.error();
    seen_.readings[step.name] = ObservedReading{step.name, answer->pid(), answer->cells(0)};
    return Ok();
  }

  Status Cancel(const std::vector<std::string>& ids, int64_t grace_ns) {
    for (size_t first = 0; first < ids.size(); first += kIdsPerRequest) {
      v1::CancelJobsRequest request;
      for (size_t i = first; i < std::min(first + kIdsPerRequest, ids.size()); ++i)
        request.add_job_ids(ids[i]);
      request.set_by("experiment " + experiment_.name);
      if (grace_ns >= 0) {
        request.mutable_grace()->set_seconds(grace_ns / 1'000'000'000);
        request.mutable_grace()->set_nanos(static_cast<int32_t>(grace_ns % 1'000'000'000));
      }
      const Result<v1::CancelJobsResponse> answer = connection_.CancelJobs(request);
      if (!answer) return answer.error();
    }
    return Ok();
  }

  Status Signal(const Step& step) {
    v1::SignalJobsRequest request;
    for (const std::string& id : IdsOf(step.target)) request.add_job_ids(id);
    request.set_signal(step.signal);
    const Result<v1::SignalJobsResponse> answer = connection_.SignalJobs(request);
    if (!answer) return answer.error();
    for (const v1::JobAnswer& one : answer->answers()) {
      if (one.error_code() != 0)
        return Error{static_cast<ErrorCode>(one.error_code()), one.error_reason(),
                     one.error_message(), ""};
    }
    return Ok();
  }

  // Jobs first: what they come to is then told by those who can. Then the parents, with whatever
  // did not stop.
  void CleanUp() {
    std::vector<std::string> ids;
    for (const auto& [name, some] : ids_) ids.insert(ids.end(), some.begin(), some.end());
    (void)Cancel(ids, kLeftoverGraceNanos);
    // Threads look at their stop token, most of them.
    WaitCleaned(ids, absl::Seconds(2));
    for (const std::string& parent : started_parents_) {
      v1::EndParentRequest request;
      request.set_name(parent);
      request.set_how(v1::PARENT_END_KILL);
      (void)connection_.EndParent(request);
    }
    if (!WaitCleaned(ids, kCleanWithin) && seen_.broken.empty()) {
      const Status failed = log_.error();
      seen_.broken = failed ? failed->message : "not all of its jobs could be ended in time";
    }
  }

  bool WaitCleaned(const std::vector<std::string>& ids, absl::Duration within) {
    return log_.WaitUntil(
        [&](const EventLog::Events& jobs, const EventLog::Events&) {
          return std::all_of(ids.begin(), ids.end(), [&](const std::string& id) {
            const auto job = jobs.find(id);
            // One that was refused has no events.
            return job == jobs.end() || Has(job->second, "cleaned");
          });
        },
        within, nullptr);
  }

  void Collect() {
    const EventLog::Events jobs = log_.jobs();
    const EventLog::Events parents = log_.parents();
    for (const auto& [name, ids] : ids_) {
      for (size_t i = 0; i < ids.size(); ++i) {
        ObservedJob job;
        job.name = ids.size() == 1 ? name : name + "[" + std::to_string(i + 1) + "]";
        job.job.set_job_id(ids[i]);
        const auto events = jobs.find(ids[i]);
        if (events != jobs.end()) job.events = events->second;
        for (const v1::Event& event : job.events) FoldEvent(event, &job.job);
        seen_.jobs[name].push_back(std::move(job));
      }
    }
    for (auto& [name, parent] : seen_.parents) {
      const auto events = parents.find(RealName(name));
      if (events != parents.end()) parent.events = events->second;
    }
    seen_.first_token = log_.first_token();
    seen_.last_token = log_.last_token();
  }

  Connection& connection_;
  const Experiment& experiment_;
  const RunSettings& settings_;
  EventLog log_;
  Observations seen_;
  std::map<std::string, std::vector<std::string>> ids_;  // by the step's name
  std::set<std::string> started_parents_;                // by their real names
};

}  // namespace

Result<Observations> RunExperiment(Connection& connection, const Experiment& experiment,
                                   const RunSettings& settings) {
  return Runner(connection, experiment, settings).Run();
}

}  // namespace brood
