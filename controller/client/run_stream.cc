// SPDX-License-Identifier: Apache-2.0
#include "controller/client/run_stream.h"

#include <absl/synchronization/mutex.h>

#include <random>
#include <thread>
#include <utility>

#include "common/base/clock.h"
#include "common/rpc/greeting.h"
#include "controller/client/stubs.h"

namespace brood {
namespace {

// Jobs that wait to be sent: some MiB, and enough for some messages under way.
constexpr size_t kQueuedMax = 1'024;

using Stream = grpc::ClientReaderWriter<v1::RunJobsRequest, v1::RunJobsResponse>;

}  // namespace

struct RunStream::Call {
  // One call; the reader makes a new one when it has ended.
  struct Attempt {
    grpc::ClientContext context;
    std::unique_ptr<Stream> stream;
    bool waited = false;  // the reader's alone
  };

  Call(Connection& to, bool output, ResumeOptions asked)
      : connection(to), options(std::move(asked)), retries(options.policy), resume(output) {
    Open();
    writer = std::thread([this] { Write(); });
  }
  ~Call() {
    BreakOff();
    writer.join();
    if (attempt) (void)attempt->stream->Finish();
  }

  void Open() {
    auto next = std::make_shared<Attempt>();
    next->stream = connection.stubs().jobs.RunJobs(&next->context);
    const absl::MutexLock lock(&mutex);
    attempt = std::move(next);
    writable = true;
    closed = false;
    if (broken_off) attempt->context.TryCancel();
  }

  void BreakOff() {
    const absl::MutexLock lock(&mutex);
    broken_off = true;
    if (attempt) attempt->context.TryCancel();
  }

  bool HasToWrite() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return writable && attempt && (resume.HasRequest() || (resume.AllSent() && !closed));
  }

  // The writer's thread: a write waits for the agent to read, and who waits must not be who reads.
  void Write() {
    const auto needed = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      return over || broken_off || HasToWrite();
    };
    v1::RunJobsRequest request;
    for (;;) {
      std::shared_ptr<Attempt> to;
      bool close = false;
      {
        const absl::MutexLock lock(&mutex);
        mutex.Await(absl::Condition(&needed));
        if (over || broken_off) return;
        close = !resume.NextRequest(&request);
        closed = close;
        to = attempt;
        writing = true;
      }
      const bool sent = close ? to->stream->WritesDone() : to->stream->Write(request);
      const absl::MutexLock lock(&mutex);
      writing = false;
      // The reader is about to learn why.
      if (!sent) writable = false;
    }
  }

  bool Read(v1::RunJobsResponse* batch) {
    for (;;) {
      Attempt* now = nullptr;
      {
        const absl::MutexLock lock(&mutex);
        if (over) return false;
        now = attempt.get();
      }
      if (!std::exchange(now->waited, true)) {
        now->stream->WaitForInitialMetadata();
        if (now->context.GetServerInitialMetadata().count(kGreetingKey) > 0) OnConnected();
      }
      if (!now->stream->Read(batch)) {
        if (Again()) continue;
        return false;
      }
      OnConnected();
      {
        const absl::MutexLock lock(&mutex);
        resume.OnResponse(batch);
      }
      if (batch->events_size() == 0 && batch->accepted_size() == 0) continue;
      retries.OnProgress();
      return true;
    }
  }

  void OnConnected() {
    if (retries.OnConnected(BootTimeNanos()) && options.back) options.back();
  }

  // The call has ended: whether there is another one now.
  bool Again() {
    std::shared_ptr<Attempt> ended;
    {
      absl::MutexLock lock(&mutex);
      // A write to a call that has ended fails at once.
      writable = false;
      mutex.Await(absl::Condition(
          +[](bool* busy) { return !*busy; }, &writing));
      ended = std::exchange(attempt, nullptr);
    }
    const grpc::Status status = ended->stream->Finish();
    Status end = status.ok() ? Ok() : Status(CallError(connection, status));
    {
      const absl::MutexLock lock(&mutex);
      if (!end && !resume.Complete()) {
        end = EndedEarly(connection.address().target);
      }
      if (!end) return GiveUp(Ok());
    }
    const Retries::Next next =
        retries.OnEnd(*end, !status.error_details().empty(), BootTimeNanos(), random());
    if (next.announce && options.lost) options.lost(*end);
    {
      const absl::MutexLock lock(&mutex);
      if (!next.pause_ns) return GiveUp(std::move(end));
      mutex.AwaitWithTimeout(absl::Condition(&broken_off), absl::Nanoseconds(*next.pause_ns));
      if (broken_off) return GiveUp(BrokenOff("run"));
      resume.OnBroken();
    }
    PrepareRetry(connection);
    Open();
    return true;
  }

  bool GiveUp(Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    end_status = std::move(why);
    over = true;
    return false;
  }

  Connection& connection;
  const ResumeOptions options;
  Retries retries;  // the reader's alone, as random
  std::mt19937_64 random{std::random_device{}()};

  absl::Mutex mutex;
  RunResume resume ABSL_GUARDED_BY(mutex);
  std::shared_ptr<Attempt> attempt ABSL_GUARDED_BY(mutex);
  bool writable ABSL_GUARDED_BY(mutex) = false;
  bool writing ABSL_GUARDED_BY(mutex) = false;
  bool closed ABSL_GUARDED_BY(mutex) = false;  // of this attempt
  bool broken_off ABSL_GUARDED_BY(mutex) = false;
  bool over ABSL_GUARDED_BY(mutex) = false;
  Status end_status ABSL_GUARDED_BY(mutex);
  std::thread writer;
};

RunStream::RunStream(Connection& connection, bool include_output, ResumeOptions options)
    : call_(std::make_unique<Call>(connection, include_output, std::move(options))) {}

RunStream::~RunStream() = default;

Status RunStream::Submit(std::vector<v1::JobSubmission> jobs) {
  Call& call = *call_;
  const auto room = [&call]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(call.mutex) {
    return call.over || call.broken_off || call.resume.queued() < kQueuedMax;
  };
  absl::MutexLock lock(&call.mutex);
  for (v1::JobSubmission& job : jobs) {
    call.mutex.Await(absl::Condition(&room));
    if (call.over || call.broken_off) {
      return Error{ErrorCode::kUnavailable, "CALL_ENDED",
                   "the call to '" + call.connection.address().target +
                       "' has ended; no more jobs can be submitted on it",
                   ""};
    }
    call.resume.Submit(std::move(job));
  }
  return Ok();
}

void RunStream::CloseSubmissions() {
  const absl::MutexLock lock(&call_->mutex);
  call_->resume.Close();
}

bool RunStream::NextBatch(v1::RunJobsResponse* batch) { return call_->Read(batch); }

std::optional<RunStream::Item> RunStream::Next() {
  while (true) {
    if (next_accepted_ < batch_.accepted_size()) return *batch_.mutable_accepted(next_accepted_++);
    if (next_event_ < batch_.events_size()) return std::move(*batch_.mutable_events(next_event_++));
    next_accepted_ = next_event_ = 0;
    if (!NextBatch(&batch_)) {
      batch_.Clear();
      return std::nullopt;
    }
  }
}

void RunStream::BreakOff() { call_->BreakOff(); }

Status RunStream::Finish() {
  const absl::MutexLock lock(&call_->mutex);
  return call_->end_status;
}

}  // namespace brood
