// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/twin_run.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/job/exit_code.h"
#include "common/job/value.h"
#include "controller/client/each_host.h"
#include "controller/lab/one_job.h"

namespace brood {
namespace {

using Stories = std::map<std::string, JobStory>;

// How long the last pair holds: longer than a parent takes to end, short enough to wait for.
constexpr char kHoldSeconds[] = "2";
constexpr char kHoldReturns[] = "7";
constexpr int64_t kMeterNanos = 100'000'000;
// A parent that takes longer to end by itself is killed: nothing is to be left.
constexpr std::chrono::seconds kEndDeadline(20);

int64_t Nanos(const google::protobuf::Duration& duration) {
  return duration.seconds() * 1'000'000'000 + duration.nanos();
}

// What its last write of the cell left, and where it was seen.
void TakeWrite(const JobStory& story, const std::string& cell, TwinJob* job) {
  for (const v1::Event& event : story.events) {
    if (!event.has_memory() || event.memory().cell() != cell) continue;
    const v1::Memory& memory = event.memory();
    job->address = memory.address();
    if (!job->found && memory.has_before()) job->found = memory.before();
    job->wrote = memory.after();
    job->in_parent.reset();
    for (const v1::MemoryReading& reading : memory.readings()) {
      if (!reading.job_id().empty()) continue;
      OutsideValue& seen = job->in_parent.emplace();
      seen.error = reading.error();
      if (reading.has_value()) seen.value = reading.value();
      if (reading.error().empty()) seen.has_write = reading.same_write();
    }
  }
}

TwinJob Told(const JobStory& story, const std::string& cell) {
  TwinJob job;
  job.job_id = story.job.job_id();
  if (story.job.has_pid()) job.pid = story.job.pid();
  if (story.job.has_tid()) job.tid = story.job.tid();
  if (story.job.has_ppid()) job.ppid = story.job.ppid();
  job.returned = story.Returned();
  job.end = OutcomeSentence(story.job);
  if (job.returned) job.end += " " + ValueToJson(*job.returned);
  const v1::Event* const started = story.First(v1::Event::kStarted);
  if (started != nullptr && started->started().has_fork_time())
    job.start_ns = Nanos(started->started().fork_time());
  for (const v1::Event& event : story.events)
    if (event.has_memory_pages()) job.own_bytes = event.memory_pages().private_dirty();
  TakeWrite(story, cell, &job);
  return job;
}

// One host's run, in one thread.
class HostTwin {
 public:
  HostTwin(const TwinCall& call, OpenRun& open, Connection& connection,
           std::function<void(const TwinFacts&)> changed)
      : call_(call), open_(open), connection_(connection), changed_(std::move(changed)) {}

  Status Run(const std::string& host) {
    facts_.host = host;
    facts_.call = call_.task;
    for (const std::string& word : call_.words) facts_.call += " " + word;
    facts_.parent = call_.parent.empty() ? own_ : call_.parent;
    facts_.rounds_wanted = call_.rounds;
    const Status failed = RunAll();
    const Status left = CleanUp();
    return failed ? failed : left;
  }

 private:
  Status RunAll() {
    Status failed;
    (failed = StartOwn()) || (failed = FindParent()) || (failed = FindCell()) ||
        (failed = MakeCell());
    if (failed) return failed;
    changed_(facts_);
    if ((failed = RunRounds()) || (failed = RunEnd())) return failed;
    return Ok();
  }

  Status StartOwn() {
    if (open_.stopped()) return StoppedError();
    v1::StartParentRequest request;
    request.set_name(own_);
    const auto started = connection_.StartParent(request, {std::chrono::seconds(30)});
    // An answer that was lost says nothing about the parent.
    own_lives_ = true;
    if (!started) return started.error();
    own_pid_ = started->parent().pid();
    return Ok();
  }

  Status FindParent() {
    if (call_.parent.empty()) {
      facts_.parent_pid = own_pid_;
      return Ok();
    }
    const auto listed = connection_.ListParents({});
    if (!listed) return listed.error();
    for (const v1::Parent& parent : listed->parents()) {
      if (parent.name() == call_.parent && parent.state() == v1::PARENT_STATE_RUNNING)
        facts_.parent_pid = parent.pid();
    }
    if (facts_.parent_pid) return Ok();
    return FieldError("--parent", "no parent '" + call_.parent +
                                      "' runs; start it first (brood "
                                      "parent start " +
                                      call_.parent + ")");
  }

  // The cell that the call names, by what the task says of its parameters.
  Status FindCell() {
    facts_.cell = call_.cell;
    if (!facts_.cell.empty()) return Ok();
    v1::ListTasksRequest request;
    request.set_parent(facts_.parent);
    const auto tasks = connection_.ListTasks(request);
    if (!tasks) return tasks.error();
    for (const v1::Task& task : tasks->tasks()) {
      if (task.name() != call_.task) continue;
      for (int i = 0; i < task.parameters_size(); ++i) {
        const size_t word = static_cast<size_t>(i);
        if (task.parameters(i).name() == "cell" && word < call_.words.size())
          facts_.cell = call_.words[word];
      }
    }
    return Ok();
  }

  Status MakeCell() {
    if (!call_.makes_cell) return Ok();
    const std::string id = Id("cell");
    return Together({Submission(id, CallSpec("demo.add", {facts_.cell, "0"}, v1::MODE_THREAD))},
                    facts_.parent)
        .second;
  }

  Status RunRounds() {
    // While it is watched, each write of the cell is an event.
    v1::WatchMemoryRequest watch;
    watch.set_parent(facts_.parent);
    watch.add_cells(facts_.cell);
    if (facts_.cell.empty()) return RunRoundsWatched();
    MemoryStream stream(connection_, watch);
    if (!open_.Add(&stream)) return StoppedError();
    v1::WatchMemoryResponse begun;
    Status failed;
    if (!stream.NextBatch(&begun)) {
      open_.Remove(&stream);
      failed = stream.Finish();
      return open_.stopped() ? StoppedError() : failed;
    }
    // The jobs' own streams have the events too; these only have to be taken.
    std::thread reader([&stream] {
      for (v1::WatchMemoryResponse batch; stream.NextBatch(&batch);) {
      }
    });
    failed = RunRoundsWatched();
    open_.Remove(&stream);
    stream.BreakOff();
    reader.join();
    (void)stream.Finish();
    return failed;
  }

  Status RunRoundsWatched() {
    for (int round = 1; round <= call_.rounds; ++round) {
      TwinRound read;
      if (Status failed = RunRound(std::to_string(round), &read)) return failed;
      facts_.rounds.push_back(std::move(read));
      changed_(facts_);
    }
    return Ok();
  }

  Status RunRound(const std::string& number, TwinRound* round) {
    const std::string thread = Id(number + ".thread");
    const std::string fork = Id(number + ".fork");
    if (Status failed = Read(&round->before)) return failed;
    auto [pair, failed] =
        Together({Submission(thread, CallSpec(call_.task, call_.words, v1::MODE_THREAD)),
                  Submission(fork, CallSpec(call_.task, call_.words, v1::MODE_FORK))},
                 facts_.parent);
    if (failed) return failed;
    round->thread = Told(pair[thread], facts_.cell);
    round->fork = Told(pair[fork], facts_.cell);
    if ((failed = Read(&round->after))) return failed;
    return facts_.cell.empty() ? Ok() : RunSiblings(number, round);
  }

  Status RunSiblings(const std::string& number, TwinRound* round) {
    const std::string thread = Id(number + ".sibling-thread");
    const std::string fork = Id(number + ".sibling-fork");
    auto [pair, failed] =
        Together({Submission(thread, CallSpec("demo.read", {facts_.cell}, v1::MODE_THREAD)),
                  Submission(fork, CallSpec("demo.read", {facts_.cell}, v1::MODE_FORK))},
                 facts_.parent);
    if (failed) return failed;
    round->sibling_thread = pair[thread].Returned();
    round->sibling_fork = pair[fork].Returned();
    return Ok();
  }

  // The parent of our own is ended while a thread and a fork of it hold.
  Status RunEnd() {
    const std::string thread = Id("end.thread");
    const std::string fork = Id("end.fork");
    const std::vector<std::string> words = {kHoldSeconds, kHoldReturns};
    v1::JobSubmission forked = Submission(fork, CallSpec("demo.hold", words, v1::MODE_FORK));
    // A thread has no pages of its own that could be metered.
    forked.mutable_spec()->mutable_memory_meter()->set_nanos(kMeterNanos);
    std::optional<uint64_t> ended_at;
    auto [pair, failed] =
        Together({Submission(thread, CallSpec("demo.hold", words, v1::MODE_THREAD)), forked}, own_,
                 [&]() -> Status {
                   v1::EndParentRequest request;
                   request.set_name(own_);
                   request.set_how(v1::PARENT_END_RETURN);
                   const auto ended = connection_.EndParent(request, {kEndDeadline});
                   if (!ended) return ended.error();
                   own_lives_ = false;
                   // What comes after this was told after the parent's end.
                   const auto host = connection_.GetHost({});
                   if (!host) return host.error();
                   ended_at = host->host().journal_head();
                   return Ok();
                 });
    if (failed) return failed;
    TwinEnd& end = facts_.end.emplace();
    end.parent = own_;
    end.pid = own_pid_;
    end.thread = Leftover(pair[thread], ended_at);
    end.fork = Leftover(pair[fork], ended_at);
    changed_(facts_);
    return Ok();
  }

  static TwinLeftover Leftover(const JobStory& story, const std::optional<uint64_t>& ended_at) {
    TwinLeftover left;
    left.job = Told(story, "");
    const v1::Event* const end = story.End();
    // What was only concluded is no reading.
    if (end != nullptr && end->evidence() != v1::EVIDENCE_INFERRED) {
      left.ended_by_parent = end->has_thread_ended() && end->thread_ended().has_parent_ended();
      if (ended_at) left.ended_after_parent = end->cursor() > *ended_at;
    }
    const v1::Event* const told = story.First(v1::Event::kReparented);
    if (told != nullptr && told->evidence() != v1::EVIDENCE_INFERRED) {
      left.new_ppid = told->reparented().new_ppid();
      left.adopter = told->reparented().adopter();
    }
    return left;
  }

  Status Read(TwinReading* reading) {
    if (open_.stopped()) return StoppedError();
    if (facts_.cell.empty()) return Ok();
    v1::ReadMemoryRequest request;
    request.set_parent(facts_.parent);
    request.add_cells(facts_.cell);
    const auto answer = connection_.ReadMemory(request);
    if (!answer) {
      // Nobody has written it yet: there is nothing to be read.
      return answer.error().reason == "NO_SUCH_CELL" ? Ok() : Status(answer.error());
    }
    reading->pid = answer->pid();
    reading->incarnation = answer->incarnation();
    for (const v1::Cell& cell : answer->cells()) {
      if (cell.name() != facts_.cell) continue;
      reading->address = cell.address();
      reading->value = cell.value();
      reading->version = cell.version();
      if (cell.outside().has_value()) reading->outside = cell.outside().value();
      reading->outside_error = cell.outside().error();
    }
    return Ok();
  }

  std::string Id(const std::string& part) const { return "twin-" + call_.run_id + "." + part; }

  v1::JobSubmission Submission(const std::string& id, v1::JobSpec spec) const {
    v1::JobSubmission submission;
    submission.set_job_id(id);
    spec.set_run_id("twin-" + call_.run_id);
    *submission.mutable_spec() = std::move(spec);
    return submission;
  }

  std::pair<Stories, Status> Together(std::vector<v1::JobSubmission> jobs,
                                      const std::string& parent,
                                      const std::function<Status()>& started = nullptr) {
    for (v1::JobSubmission& job : jobs) job.mutable_spec()->set_parent(parent);
    under_way_.clear();
    for (const v1::JobSubmission& job : jobs) under_way_.push_back(job.job_id());
    auto stories = RunTogether(connection_, open_, jobs, started);
    if (!stories) return {Stories(), stories.error()};
    under_way_.clear();
    return {std::move(*stories), Ok()};
  }

  // Ends what is ours and still there.
  Status CleanUp() {
    if (!under_way_.empty()) {
      v1::CancelJobsRequest request;
      for (const std::string& id : under_way_) request.add_job_ids(id);
      // One that was refused or has ended is no matter.
      (void)connection_.CancelJobs(request);
    }
    if (!own_lives_) return Ok();
    v1::EndParentRequest request;
    request.set_name(own_);
    request.set_how(v1::PARENT_END_RETURN);
    auto ended = connection_.EndParent(request, {kEndDeadline});
    if (ended || ended.error().code == ErrorCode::kNotFound) return Ok();
    request.set_how(v1::PARENT_END_KILL);
    ended = connection_.EndParent(request, {kEndDeadline});
    return ended || ended.error().code == ErrorCode::kNotFound ? Ok() : Status(ended.error());
  }

  const TwinCall& call_;
  OpenRun& open_;
  Connection& connection_;
  const std::function<void(const TwinFacts&)> changed_;
  const std::string own_ = "twin-" + call_.run_id;
  bool own_lives_ = false;
  int32_t own_pid_ = 0;
  std::vector<std::string> under_way_;
  TwinFacts facts_;
};

}  // namespace

TwinRun::TwinRun(TwinCall call, Changed changed)
    : call_(std::move(call)), changed_(std::move(changed)) {}

std::vector<Status> TwinRun::Run(const std::vector<HostAddress>& hosts) {
  std::mutex one_at_a_time;
  return EachHost(hosts, [&](size_t index, Connection& connection) -> Status {
    const auto changed = [&, index](const TwinFacts& facts) {
      const std::lock_guard<std::mutex> lock(one_at_a_time);
      changed_(index, facts);
    };
    return HostTwin(call_, open_, connection, changed).Run(hosts[index].name);
  });
}

void TwinRun::Stop() { open_.Stop(); }

}  // namespace brood
