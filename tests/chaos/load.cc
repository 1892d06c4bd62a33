// SPDX-License-Identifier: Apache-2.0
#include "tests/chaos/load.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>

namespace brood::chaos {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Enough that jobs always wait, little enough that each kill meets all states.
constexpr size_t kOpenMax = 60;
constexpr seconds kPatience{60};

std::shared_ptr<grpc::Channel> Channel(const std::string& socket_path) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 50);
  return grpc::CreateCustomChannel("unix:" + socket_path, grpc::InsecureChannelCredentials(),
                                   arguments);
}

void Prepare(grpc::ClientContext* context, milliseconds deadline) {
  context->set_wait_for_ready(true);
  context->set_deadline(std::chrono::system_clock::now() + deadline);
}

int64_t NowNanos() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool IsLostLink(const grpc::Status& status) {
  return status.error_code() == grpc::UNAVAILABLE ||
         status.error_code() == grpc::DEADLINE_EXCEEDED || status.error_code() == grpc::CANCELLED;
}

void SetVariable(v1::JobSpec* spec, const std::string& name, const std::string& value) {
  v1::EnvironmentVariable* const variable = spec->mutable_environment()->add_set();
  variable->set_name(name);
  variable->set_value(value);
}

}  // namespace

Load::Load(std::string socket_path, std::string ledger_path, std::string parent, uint64_t seed)
    : socket_path_(std::move(socket_path)),
      ledger_path_(std::move(ledger_path)),
      parent_(std::move(parent)),
      seed_(seed),
      open_max_(kOpenMax) {}

Load::~Load() {
  submitting_ = false;
  abandoned_ = true;
  EndWatchers(1);
  for (std::thread& submitter : submitters_) {
    if (submitter.joinable()) submitter.join();
  }
}

void Load::Start(int submitters, int watchers) {
  observed_.watchers.resize(static_cast<size_t>(watchers));
  reading_.resize(static_cast<size_t>(watchers));
  for (int i = 0; i < watchers; ++i) {
    watchers_.emplace_back([this, i] {
      Watch(static_cast<size_t>(i), seed_ * 1'000 + 500 + static_cast<uint64_t>(i));
    });
  }
  for (int i = 0; i < submitters; ++i)
    submitters_.emplace_back([this, i] { Submit(seed_ * 1'000 + static_cast<uint64_t>(i)); });
}

void Load::AddError(const std::string& error) {
  const std::lock_guard lock(mutex_);
  if (errors_.size() < 20) errors_.push_back(error);
}

v1::JobSubmission Load::MakeJob(const std::string& id, bool cancelled, Random* random,
                                Plan* plan) const {
  const auto pick = [random](uint64_t below) { return (*random)() % below; };
  // Some of those who are asked to end do not listen, and are killed with what they have started.
  const bool deaf = cancelled && pick(2) == 0;
  uint64_t works_ms = deaf ? 400 : pick(3) == 0 ? 0 : pick(60);
  if (pick(3) != 0) plan->output = "output of " + id + std::string(pick(200), '.') + "\n";
  v1::JobSubmission job;
  job.set_job_id(id);
  v1::JobSpec* const spec = job.mutable_spec();
  if (deaf) {
    spec->mutable_kill_grace()->set_nanos(50'000'000);
  } else {
    spec->mutable_kill_grace()->set_seconds(5);
  }
  plan->is_command = deaf || pick(2) == 0;
  if (plan->is_command) {
    plan->exit_code = static_cast<int>(pick(4));
    for (const char* const word :
         {"sh", "-c",
          "[ \"$DEAF\" = 0 ] || trap '' TERM; printf 'B %s\\n' \"$BROOD_JOB_ID\" >>\"$LEDGER\"; "
          "printf %s \"$TEXT\"; sleep "
          "\"$WORKS\"; "
          "printf 'E %s\\n' \"$BROOD_JOB_ID\" >>\"$LEDGER\"; exit \"$CODE\""}) {
      spec->mutable_command()->add_argv(word);
    }
    SetVariable(spec, "LEDGER", ledger_path_);
    SetVariable(spec, "TEXT", plan->output);
    SetVariable(spec, "DEAF", deaf ? "1" : "0");
    SetVariable(spec, "WORKS", "0." + std::to_string(1000 + works_ms).substr(1));
    SetVariable(spec, "CODE", std::to_string(plan->exit_code));
    return job;
  }
  plan->returned = static_cast<int64_t>(pick(1'000'000));
  plan->is_thread = pick(2) == 0;
  // Some forks outlive their parent and their agent together until the next agent is there.
  if (!plan->is_thread && pick(8) == 0) works_ms = 800;
  spec->set_mode(plan->is_thread ? v1::MODE_THREAD : v1::MODE_FORK);
  spec->set_parent(parent_);
  v1::Call* const call = spec->mutable_call();
  call->set_task("chaos.work");
  for (const std::string& word :
       {ledger_path_, std::to_string(works_ms), plan->output, std::to_string(plan->returned)})
    call->add_arguments()->set_word(word);
  return job;
}

v1::SubmitJobsRequest Load::Make(Random* random, std::vector<std::string>* to_cancel) {
  v1::SubmitJobsRequest request;
  const std::lock_guard lock(mutex_);
  for (uint64_t left = 1 + (*random)() % 6; left > 0; --left) {
    const std::string id = "j" + std::to_string(++next_job_);
    Plan& plan = observed_.plans[id];
    plan.may_be_cancelled = (*random)() % 10 == 0;
    *request.add_jobs() = MakeJob(id, plan.may_be_cancelled, random, &plan);
    if (plan.may_be_cancelled) to_cancel->push_back(id);
    open_.insert(id);
  }
  return request;
}

// Whether to ask again: a job that is refused so may be there all the same.
bool Load::IsShut(const v1::SubmitJobsResponse& response) const {
  return refuses_ && std::any_of(response.accepted().begin(), response.accepted().end(),
                                 [](const v1::SubmittedJob& job) {
                                   return job.error_reason().rfind("JOURNAL_", 0) == 0;
                                 });
}

void Load::Submit(uint64_t seed) {
  Random random(seed);
  const auto stub = v1::JobService::NewStub(Channel(socket_path_));
  while (submitting_) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, milliseconds(100),
                        [this] { return open_.size() < open_max_ || !submitting_; });
      if (open_.size() >= open_max_ || !submitting_) continue;
    }
    std::vector<std::string> to_cancel;
    const v1::SubmitJobsRequest request = Make(&random, &to_cancel);
    v1::SubmitJobsResponse response;
    grpc::Status status;
    do {
      grpc::ClientContext context;
      Prepare(&context, seconds(5));
      response.Clear();
      status = stub->SubmitJobs(&context, request, &response);
      const bool shut = refuses_ && status.error_code() == grpc::RESOURCE_EXHAUSTED;
      if (!status.ok() && !shut && !IsLostLink(status))
        AddError("SubmitJobs: " + status.error_message());
    } while ((!status.ok() || IsShut(response)) && !abandoned_);
    {
      const std::lock_guard lock(mutex_);
      for (const v1::SubmittedJob& accepted : response.accepted()) {
        if (accepted.error_code() == 0) observed_.acknowledged.insert(accepted.job_id());
        if (accepted.error_code() != 0) open_.erase(accepted.job_id());
      }
    }
    for (const v1::SubmittedJob& accepted : response.accepted()) {
      const std::string& reason = accepted.error_reason();
      const bool away = parent_dies_ && (reason == "NO_SUCH_PARENT" || reason == "NO_SUCH_TASK");
      if (accepted.error_code() != 0 && !away)
        AddError(accepted.job_id() + " was refused: " + accepted.error_message());
    }
    if (!to_cancel.empty()) Cancel(stub.get(), to_cancel);
  }
}

void Load::Cancel(v1::JobService::Stub* stub, const std::vector<std::string>& ids) {
  v1::CancelJobsRequest request;
  *request.mutable_job_ids() = {ids.begin(), ids.end()};
  grpc::ClientContext context;
  Prepare(&context, seconds(5));
  v1::CancelJobsResponse response;
  const grpc::Status status = stub->CancelJobs(&context, request, &response);
  // What could not be written is told of so, and may come to be all the same.
  const bool shut = refuses_ && status.error_code() == grpc::RESOURCE_EXHAUSTED;
  if (!status.ok() && !IsLostLink(status) && !shut)
    AddError("CancelJobs: " + status.error_message());
}

void Load::Watch(size_t index, uint64_t seed) {
  Random random(seed);
  const auto stub = v1::JobService::NewStub(Channel(socket_path_));
  v1::WatchEventsRequest request;
  request.set_follow(true);
  uint64_t last = 0;
  const auto done = [this, &last] {
    return abandoned_ || (target_ != 0 && last >= target_) || NowNanos() > give_up_ns_;
  };
  while (!done()) {
    grpc::ClientContext context;
    Prepare(&context, milliseconds(100 + random() % 1'500));
    {
      const std::lock_guard lock(mutex_);
      reading_[index] = &context;
    }
    const auto stream = stub->WatchEvents(&context, request);
    v1::WatchEventsResponse response;
    while (!done() && stream->Read(&response)) {
      const std::lock_guard lock(mutex_);
      for (const v1::Event& event : response.events()) {
        last = event.cursor();
        observed_.watchers[index].push_back(last);
        if (index == 0) ++seen_;
        if (index == 0 && event.has_cleaned()) open_.erase(event.job_id());
      }
      request.set_resume_token(response.resume_token());
      changed_.notify_all();
      // Some leave in the middle.
      if (random() % 50 == 0) context.TryCancel();
    }
    context.TryCancel();
    {
      const std::lock_guard lock(mutex_);
      reading_[index] = nullptr;
    }
    const grpc::Status status = stream->Finish();
    if (!status.ok() && !IsLostLink(status)) {
      AddError("WatchEvents after event " + std::to_string(last) + ": " + status.error_message());
      return;
    }
  }
}

bool Load::WaitForEvents(uint64_t more) {
  std::unique_lock lock(mutex_);
  const uint64_t wanted = seen_ + more;
  return changed_.wait_for(lock, kPatience / 2, [&] { return seen_ >= wanted; });
}

uint64_t Load::CountEvents() {
  const std::lock_guard lock(mutex_);
  return seen_;
}

bool Load::IsDone() {
  submitting_ = false;
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
  return open_.empty();
}

std::set<std::string> Load::Finish() {
  submitting_ = false;
  changed_.notify_all();
  for (std::thread& submitter : submitters_) submitter.join();
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [this] { return open_.empty(); });
  return open_;
}

void Load::EndWatchers(uint64_t head) {
  give_up_ns_ = NowNanos() + std::chrono::nanoseconds(kPatience / 4).count();
  target_ = head;
  {
    // Who has it all waits for more, until its deadline.
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < observed_.watchers.size(); ++i) {
      const std::vector<uint64_t>& cursors = observed_.watchers[i];
      if (reading_[i] != nullptr && !cursors.empty() && cursors.back() >= head)
        reading_[i]->TryCancel();
    }
  }
  for (std::thread& watcher : watchers_) {
    if (watcher.joinable()) watcher.join();
  }
}

Observed Load::Take() {
  for (std::vector<uint64_t>& cursors : observed_.watchers) {
    // What came after the end that was asked for.
    while (!cursors.empty() && cursors.back() > target_) cursors.pop_back();
  }
  return std::move(observed_);
}

}  // namespace brood::chaos
