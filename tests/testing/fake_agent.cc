// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/fake_agent.h"

#include <absl/synchronization/mutex.h>
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "brood/v1/host_service.grpc.pb.h"
#include "brood/v1/job_service.grpc.pb.h"
#include "brood/v1/parent_service.grpc.pb.h"
#include "common/job/job_fold.h"
#include "common/rpc/grpc_status.h"

namespace brood::testing {
namespace {

// How often a waiting call looks whether its client is gone.
constexpr absl::Duration kLook = absl::Milliseconds(10);

template <typename Payload>
v1::Event Make(Payload payload) {
  v1::Event event;
  payload(event);
  return event;
}

v1::Event Output(v1::Stream stream, const std::string& bytes) {
  return Make([&](v1::Event& event) {
    event.mutable_output()->set_stream(stream);
    event.mutable_output()->set_length(bytes.size());
    event.mutable_output()->set_bytes(bytes);
  });
}

}  // namespace

v1::Event OutEvent(const std::string& bytes) { return Output(v1::STREAM_STDOUT, bytes); }
v1::Event ErrEvent(const std::string& bytes) { return Output(v1::STREAM_STDERR, bytes); }
v1::Event ExitedEvent(int code) {
  return Make([&](v1::Event& event) { event.mutable_exited()->set_exit_code(code); });
}
v1::Event SignaledEvent(int signal, v1::EndCause cause) {
  return Make([&](v1::Event& event) {
    event.mutable_exited()->set_signal(signal);
    event.mutable_exited()->set_cause(cause);
  });
}
v1::Event ReturnedEvent(const v1::Value& value) {
  return Make([&](v1::Event& event) {
    *event.mutable_thread_ended()->mutable_returned()->mutable_value() = value;
  });
}

std::vector<v1::Event> Beginning() {
  return {Make([](v1::Event& event) { event.mutable_received(); }),
          Make([](v1::Event& event) { event.mutable_starting()->set_mode(v1::MODE_FORK); }),
          Make([](v1::Event& event) {
            event.mutable_started();
            event.mutable_unit()->set_mode(v1::MODE_FORK);
            event.mutable_unit()->set_pid(4711);
          })};
}
std::vector<v1::Event> Closing() {
  return {Make([](v1::Event& event) { event.mutable_output_closed(); }),
          Make([](v1::Event& event) { event.mutable_cleaned(); })};
}

FakeJob Ends(const std::vector<v1::Event>& events) {
  FakeJob job;
  job.events = Beginning();
  job.events.insert(job.events.end(), events.begin(), events.end());
  for (const v1::Event& event : Closing()) job.events.push_back(event);
  return job;
}

FakeJob Exits(int code, const std::string& out, const std::string& err) {
  std::vector<v1::Event> events;
  if (!out.empty()) events.push_back(OutEvent(out));
  if (!err.empty()) events.push_back(ErrEvent(err));
  events.push_back(ExitedEvent(code));
  return Ends(events);
}

FakeJob RunsUntilCancelled(const std::string& out) {
  FakeJob job;
  job.events = Beginning();
  if (!out.empty()) job.events.push_back(OutEvent(out));
  job.until_cancelled = true;
  job.ending = {SignaledEvent(15, v1::END_CAUSE_CANCELLED)};
  for (const v1::Event& event : Closing()) job.ending.push_back(event);
  return job;
}

struct FakeAgent::State {
  struct Kept {
    v1::Job job;
    std::vector<v1::Event> events;
    FakeJob script;
    std::string input;
    bool input_ended = false;
  };

  // A refused job is not kept.
  v1::SubmittedJob Submit(const v1::JobSubmission& submission) {
    FakeJob job = script(submission);
    absl::MutexLock lock(&mutex);
    submissions.push_back(submission);
    v1::SubmittedJob answer = job.refusal;
    answer.set_job_id(submission.job_id());
    if (answer.error_code() != 0) return answer;
    Kept& kept = jobs[submission.job_id()];
    kept.job.set_job_id(submission.job_id());
    kept.job.set_host(host_name);
    *kept.job.mutable_spec() = submission.spec();
    kept.script = job;
    order.push_back(submission.job_id());
    Append(kept, job.events);
    if (!job.until_cancelled && !job.until_input_end) Append(kept, job.ending);
    size_t live = 0;
    for (const auto& [id, one] : jobs) live += one.job.cleaned() ? 0 : 1;
    most = std::max(most, live);
    return answer;
  }

  void Append(Kept& kept, const std::vector<v1::Event>& events)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    for (v1::Event event : events) {
      event.set_job_id(kept.job.job_id());
      event.set_run_id(kept.job.spec().run_id());
      event.set_attempt(event.has_received() ? 0 : 1);
      event.set_seq(kept.events.size() + 1);
      event.set_cursor(++cursor);
      event.set_host(host_name);
      FoldEvent(event, &kept.job);
      kept.events.push_back(event);
    }
  }

  void Cancel(const std::string& id) {
    absl::MutexLock lock(&mutex);
    cancelled.push_back(id);
    const auto found = jobs.find(id);
    if (found == jobs.end() || !found->second.script.until_cancelled) return;
    found->second.script.until_cancelled = false;
    Append(found->second, found->second.script.ending);
  }

  void EndInput(const std::string& id, const std::string& input) {
    absl::MutexLock lock(&mutex);
    const auto found = jobs.find(id);
    if (found == jobs.end() || !found->second.script.until_input_end) return;
    found->second.script.until_input_end = false;
    Append(found->second, {OutEvent(input)});
    Append(found->second, found->second.script.ending);
  }

  // The next event of the job after `seq`; false if there is none within a look.
  bool Next(const std::string& id, uint64_t seq, v1::Event* event) {
    absl::MutexLock lock(&mutex);
    Kept& kept = jobs.at(id);
    const auto more = [&kept, seq] { return kept.events.size() > seq; };
    if (!mutex.AwaitWithTimeout(absl::Condition(&more), kLook)) return false;
    *event = kept.events[seq];
    return true;
  }

  // Blocks while the agent hangs; true if the call should give up.
  bool Hanging(grpc::ServerContext* context) {
    absl::MutexLock lock(&mutex);
    while (hang && !ending && !context->IsCancelled()) {
      mutex.AwaitWithTimeout(absl::Condition(&ending), kLook);
    }
    return hang;
  }

  Script script;
  std::string host_name;
  mutable absl::Mutex mutex;
  bool hang ABSL_GUARDED_BY(mutex) = false;
  bool ending ABSL_GUARDED_BY(mutex) = false;
  std::map<std::string, Kept> jobs ABSL_GUARDED_BY(mutex);
  std::vector<std::string> order ABSL_GUARDED_BY(mutex);
  std::vector<v1::JobSubmission> submissions ABSL_GUARDED_BY(mutex);
  std::vector<std::string> cancelled ABSL_GUARDED_BY(mutex);
  std::vector<v1::SignalJobsRequest> signals ABSL_GUARDED_BY(mutex);
  v1::ListTasksResponse tasks ABSL_GUARDED_BY(mutex);
  v1::Host host ABSL_GUARDED_BY(mutex);
  size_t most ABSL_GUARDED_BY(mutex) = 0;
  size_t break_watch_after ABSL_GUARDED_BY(mutex) = 0;
  uint64_t cursor ABSL_GUARDED_BY(mutex) = 0;
};

class FakeAgent::Jobs final : public v1::JobService::Service {
 public:
  explicit Jobs(std::shared_ptr<State> state) : state_(std::move(state)) {}

  grpc::Status RunJobs(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::RunJobsResponse, v1::RunJobsRequest>* stream) override {
    if (state_->Hanging(context)) return grpc::Status::CANCELLED;
    absl::Mutex mutex;
    std::map<std::string, uint64_t> sent;  // seq, by job that is not cleaned
    std::deque<v1::RunJobsResponse> answers;
    bool closed = false;
    std::thread reader([&] {
      for (v1::RunJobsRequest request; stream->Read(&request);) {
        v1::RunJobsResponse response;
        for (const v1::JobSubmission& job : request.jobs()) {
          *response.add_accepted() = state_->Submit(job);
        }
        absl::MutexLock lock(&mutex);
        for (const v1::SubmittedJob& job : response.accepted()) {
          if (job.error_code() == 0) sent[job.job_id()] = 0;
        }
        answers.push_back(std::move(response));
      }
      absl::MutexLock lock(&mutex);
      closed = true;
    });
    while (!context->IsCancelled()) {
      std::map<std::string, uint64_t> now;
      {
        absl::MutexLock lock(&mutex);
        const auto work = [&] { return closed || !sent.empty() || !answers.empty(); };
        mutex.AwaitWithTimeout(absl::Condition(&work), kLook);
        while (!answers.empty()) {
          stream->Write(answers.front());
          answers.pop_front();
        }
        if (closed && sent.empty()) break;
        now = sent;
      }
      for (auto& [id, seq] : now) {
        v1::RunJobsResponse response;
        v1::Event event;
        while (!event.has_cleaned() && state_->Next(id, seq, &event)) {
          *response.add_events() = event;
          ++seq;
        }
        if (response.events_size() > 0) stream->Write(response);
        absl::MutexLock lock(&mutex);
        sent[id] = seq;
        if (event.has_cleaned()) sent.erase(id);
      }
    }
    // A client that has gone ends the reading, too.
    reader.join();
    return grpc::Status::OK;
  }

  grpc::Status SubmitJobs(grpc::ServerContext* context, const v1::SubmitJobsRequest* request,
                          v1::SubmitJobsResponse* response) override {
    if (state_->Hanging(context)) return grpc::Status::CANCELLED;
    for (const v1::JobSubmission& job : request->jobs()) {
      *response->add_accepted() = state_->Submit(job);
    }
    return grpc::Status::OK;
  }

  grpc::Status WatchEvents(grpc::ServerContext* context, const v1::WatchEventsRequest* request,
                           grpc::ServerWriter<v1::WatchEventsResponse>* writer) override {
    if (state_->Hanging(context)) return grpc::Status::CANCELLED;
    std::vector<std::string> ids(request->job_ids().begin(), request->job_ids().end());
    size_t left = 0;
    {
      absl::MutexLock lock(&state_->mutex);
      if (ids.empty()) ids = state_->order;
      left = std::exchange(state_->break_watch_after, 0);
    }
    const bool breaks = left > 0;
    const uint64_t after =
        request->resume_token().empty() ? 0 : std::stoull(request->resume_token());
    for (const std::string& id : ids) {
      v1::Event event;
      for (uint64_t seq = 0; !event.has_cleaned() && !context->IsCancelled();) {
        if (!state_->Next(id, seq, &event)) {
          if (!request->follow()) break;
          continue;
        }
        ++seq;
        if (event.cursor() <= after) continue;
        if (breaks && left-- == 0) {
          return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the agent goes away");
        }
        v1::WatchEventsResponse response;
        *response.add_events() = event;
        response.set_resume_token(std::to_string(event.cursor()));
        writer->Write(response);
      }
    }
    return grpc::Status::OK;
  }

  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::GetJobResponse* response) override {
    absl::MutexLock lock(&state_->mutex);
    const auto found = state_->jobs.find(request->job_id());
    if (found == state_->jobs.end()) {
      return ToGrpcStatus(Error{ErrorCode::kNotFound, "NO_SUCH_JOB",
                                "there is no job '" + request->job_id() + "'", "job_id"});
    }
    *response->mutable_job() = found->second.job;
    return grpc::Status::OK;
  }

  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    absl::MutexLock lock(&state_->mutex);
    const size_t skip = request->page_token().empty() ? 0 : std::stoul(request->page_token());
    size_t seen = 0;
    for (auto id = state_->order.rbegin(); id != state_->order.rend(); ++id) {
      const v1::Job& job = state_->jobs.at(*id).job;
      if (id->rfind(request->job_id_prefix(), 0) != 0) continue;
      if (!request->run_id().empty() && job.spec().run_id() != request->run_id()) continue;
      if (seen++ < skip) continue;
      if (response->jobs_size() == request->page_size()) {
        response->set_next_page_token(std::to_string(seen - 1));
        break;
      }
      *response->add_jobs() = job;
    }
    return grpc::Status::OK;
  }

  grpc::Status CancelJobs(grpc::ServerContext*, const v1::CancelJobsRequest* request,
                          v1::CancelJobsResponse* response) override {
    for (const std::string& id : request->job_ids()) {
      state_->Cancel(id);
      response->add_answers()->set_job_id(id);
    }
    return grpc::Status::OK;
  }

  grpc::Status SignalJobs(grpc::ServerContext*, const v1::SignalJobsRequest* request,
                          v1::SignalJobsResponse* response) override {
    absl::MutexLock lock(&state_->mutex);
    state_->signals.push_back(*request);
    for (const std::string& id : request->job_ids()) {
      auto* const answer = response->add_answers();
      answer->set_job_id(id);
      if (state_->jobs.at(id).job.state() == v1::JOB_STATE_ENDED) {
        answer->set_error_code(static_cast<int>(ErrorCode::kFailedPrecondition));
        answer->set_error_message("the job has ended");
      }
    }
    return grpc::Status::OK;
  }

  grpc::Status WriteInput(grpc::ServerContext*, grpc::ServerReader<v1::WriteInputRequest>* reader,
                          v1::WriteInputResponse* response) override {
    std::string id;
    std::string input;
    for (v1::WriteInputRequest request; reader->Read(&request);) {
      if (id.empty()) id = request.job_id();
      input += request.bytes();
    }
    response->set_written_bytes(input.size());
    state_->EndInput(id, input);
    return grpc::Status::OK;
  }

 private:
  const std::shared_ptr<State> state_;
};

class FakeAgent::Hosts final : public v1::HostService::Service {
 public:
  explicit Hosts(std::shared_ptr<State> state) : state_(std::move(state)) {}
  grpc::Status GetHost(grpc::ServerContext* context, const v1::GetHostRequest*,
                       v1::GetHostResponse* response) override {
    if (state_->Hanging(context)) return grpc::Status::CANCELLED;
    absl::MutexLock lock(&state_->mutex);
    *response->mutable_host() = state_->host;
    return grpc::Status::OK;
  }

 private:
  const std::shared_ptr<State> state_;
};

class FakeAgent::Parents final : public v1::ParentService::Service {
 public:
  explicit Parents(std::shared_ptr<State> state) : state_(std::move(state)) {}
  grpc::Status ListTasks(grpc::ServerContext*, const v1::ListTasksRequest*,
                         v1::ListTasksResponse* response) override {
    absl::MutexLock lock(&state_->mutex);
    *response = state_->tasks;
    return grpc::Status::OK;
  }
  grpc::Status EndParent(grpc::ServerContext*, const v1::EndParentRequest* request,
                         v1::EndParentResponse*) override {
    return ToGrpcStatus(Error{ErrorCode::kNotFound, "NO_SUCH_PARENT",
                              "there is no parent '" + request->name() + "'", "name"});
  }

 private:
  const std::shared_ptr<State> state_;
};

struct FakeAgent::Servers {
  explicit Servers(const std::shared_ptr<State>& state)
      : jobs(state), hosts(state), parents(state) {}
  Jobs jobs;
  Hosts hosts;
  Parents parents;
  std::unique_ptr<grpc::Server> server;
};

FakeAgent::FakeAgent(const std::string& socket_path, std::string host, Script script)
    : state_(std::make_shared<State>()), servers_(std::make_unique<Servers>(state_)) {
  state_->script = std::move(script);
  state_->host_name = std::move(host);
  v1::Host initial;
  initial.set_name(state_->host_name);
  initial.set_process_slots(4);
  initial.set_thread_slots(64);
  SetHost(initial);
  // Never undone: the library's own shutdown waits for its threads, now and then for 10 s.
  ::grpc_init();
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket_path, grpc::InsecureServerCredentials());
  builder.RegisterService(&servers_->jobs);
  builder.RegisterService(&servers_->hosts);
  builder.RegisterService(&servers_->parents);
  servers_->server = builder.BuildAndStart();
}

FakeAgent::~FakeAgent() {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->ending = true;
  }
  // Cancels what is still open, such as a followed watch.
  servers_->server->Shutdown(std::chrono::system_clock::now());
}

std::vector<v1::JobSubmission> FakeAgent::submissions() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->submissions;
}
std::vector<std::string> FakeAgent::cancelled() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->cancelled;
}
std::vector<v1::SignalJobsRequest> FakeAgent::signals() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->signals;
}
size_t FakeAgent::most_at_once() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->most;
}
void FakeAgent::SetTasks(const v1::ListTasksResponse& tasks) {
  absl::MutexLock lock(&state_->mutex);
  state_->tasks = tasks;
}
void FakeAgent::SetHost(const v1::Host& host) {
  absl::MutexLock lock(&state_->mutex);
  state_->host = host;
}
bool FakeAgent::AwaitSubmissions(size_t count) const {
  absl::MutexLock lock(&state_->mutex);
  State* const state = state_.get();
  const auto there = [state, count] {
    state->mutex.AssertHeld();
    return state->submissions.size() >= count;
  };
  return state_->mutex.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(10));
}
void FakeAgent::BreakWatchAfter(size_t events) {
  absl::MutexLock lock(&state_->mutex);
  state_->break_watch_after = events;
}
void FakeAgent::Hang() {
  absl::MutexLock lock(&state_->mutex);
  state_->hang = true;
}

FakeAgent::Script Always(const FakeJob& job) {
  return [job](const v1::JobSubmission&) { return job; };
}

}  // namespace brood::testing
