// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/run_session.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "common/job/exit_code.h"
#include "common/job/job_fold.h"
#include "controller/cli/command.h"
#include "controller/cli/last_run.h"

namespace brood::cli {
namespace {

std::vector<std::string> Names(const std::vector<HostAddress>& hosts) {
  std::vector<std::string> names;
  for (const HostAddress& host : hosts) names.push_back(host.name);
  return names;
}

BootTime After(int64_t nanos) { return BootTime{BootTimeNanos() + nanos}; }

// The reason of a host whose disk is full: that does not pass by itself, as a full queue does.
constexpr char kJournalFull[] = "JOURNAL_FULL";

}  // namespace

RunSession::End RunSession::Run(const RunOptions& options, const SpecBuilder& builder,
                                const std::vector<HostAddress>& hosts, SignalSource& signals,
                                Context& context) {
  auto loop = EventLoop::Create();
  if (!loop) return End{context.Fail(loop.error(), kExitBroodFailed), 0};
  RunSession session(options, builder, hosts, context, **loop);
  const Status status = session.Start(signals);
  if (!status) (*loop)->Run();
  signals.Detach();
  if (status) return End{context.Fail(*status, kExitBroodFailed), 0};
  return session.FinalEnd();
}

RunSession::RunSession(const RunOptions& options, const SpecBuilder& builder,
                       const std::vector<HostAddress>& hosts, Context& context, EventLoop& loop)
    : options_(options),
      builder_(builder),
      context_(context),
      loop_(loop),
      started_{BootTimeNanos()},
      addresses_(hosts),
      // Lines and input are for all hosts at once.
      places_(options.each.empty() && !options.input ? options.fanout.value_or(kFanoutDefault)
                                                     : hosts.size()),
      hosts_(hosts.size()),
      names_(Names(hosts)),
      queue_(
          loop,
          [this] {
            if (std::exchange(paused_, false)) fan_out_.Resume();
            MaybeFinish();
          },
          [this](int fd, int error_number) { OnOutputFailed(fd, error_number); }),
      printer_(options, context, names_, queue_),
      fan_out_(loop, *this, options.format != OutputFormat::kJson || !options.out_directory.empty(),
               options.resume),
      interrupts_(context.err_is_terminal) {}

Status RunSession::Start(SignalSource& signals) {
  // A bad address is found before anything is started. It connects later.
  for (const HostAddress& address : addresses_) {
    if (auto connection = Connection::Open(address); !connection) return connection.error();
  }
  if (options_.input && options_.fanout.value_or(hosts_.size()) < hosts_.size()) {
    return Error{ErrorCode::kInvalidArgument, "BAD_OPTIONS",
                 "--input is given to all hosts at once, and --fanout " +
                     std::to_string(*options_.fanout) + " is less than the " +
                     std::to_string(hosts_.size()) + " hosts: leave one of them out",
                 "fanout"};
  }
  if (Status status = printer_.OpenFiles()) return status;
  if (Status status = signals.Attach(loop_, [this](int signal) { OnSignal(signal); })) {
    return status;
  }
  WatchOutput();
  if (options_.input) {
    input_ = std::make_unique<InputPump>(loop_, fan_out_, context_.in_fd, hosts_.size());
  }
  if (context_.err_is_terminal && options_.format == OutputFormat::kText) {
    loop_.At(After(kProgressFirstNanos), [this] { ShowProgress(); });
  }
  if (!options_.each.empty()) return StartEach();
  StartHosts();
  return Ok();
}

Status RunSession::StartEach() {
  feed_ = std::make_unique<EachFeed>(hosts_.size(), [this](size_t host, EachLine line) {
    v1::JobSubmission job = builder_.JobOfLine(line.number, line.text);
    Submit(host, std::move(job), std::move(line));
  });
  auto source = LineSource::Open(options_.each, context_.in_fd, &loop_, [this] { FillFeed(); });
  if (!source) return source.error();
  feed_->SetSource(std::move(*source));
  StartHosts();
  for (size_t i = 0; i < hosts_.size(); ++i) fan_out_.AskHost(i);
  FillFeed();
  return Ok();
}

// A pipe whose reader has gone says so without being written to.
void RunSession::WatchOutput() {
  const Status status = loop_.Add(context_.out_fd, 0, [this](uint32_t events) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) OnOutputClosed();
  });
  // Files and /dev/null cannot be watched, and need not be.
  watching_output_ = !status;
}

void RunSession::Submit(size_t host, v1::JobSubmission submission, EachLine line) {
  RunJob job{host,
             std::move(line),
             false,
             {},
             {},
             LineOutput(printer_.Style(host, true)),
             LineOutput(printer_.Style(host, false))};
  job.job.set_job_id(submission.job_id());
  *job.job.mutable_spec() = submission.spec();
  hosts_[host].jobs.emplace(submission.job_id(), std::move(job));
  std::vector<v1::JobSubmission> one;
  one.push_back(std::move(submission));
  fan_out_.Submit(host, std::move(one));
}

void RunSession::FillFeed() {
  if (!feed_ || left_) return;
  if (Status status = feed_->Fill()) {
    printer_.Note(status->message);
    end_.exit_code = kExitBroodFailed;
  }
  if (!feed_->Done()) return;
  for (size_t i = 0; i < hosts_.size(); ++i) fan_out_.CloseSubmissions(i);
}

void RunSession::OnSubmitted(size_t host, const v1::SubmittedJob& answer) {
  hosts_[host].reached = true;
  const auto found = hosts_[host].jobs.find(answer.job_id());
  if (found == hosts_[host].jobs.end()) return;
  RunJob& job = found->second;
  if (answer.error_code() == 0) {
    job.accepted = true;
    Remember();
    if (feed_) feed_->OnAnswered(host);
    if (input_) input_->AddJob(host, answer.job_id());
    if (cancelled_) fan_out_.Cancel(host, {answer.job_id()});
  } else if (feed_ && answer.error_code() == static_cast<int>(ErrorCode::kResourceExhausted) &&
             answer.error_reason() != kJournalFull) {
    // Of a run that is cancelled no line is dealt out again.
    feed_->OnQueueFull(host, std::move(job.line));
    hosts_[host].jobs.erase(found);
    if (!std::exchange(retry_planned_, true)) {
      loop_.At(After(kQueueFullNanos), [this] {
        retry_planned_ = false;
        FillFeed();
      });
    }
    return;
  } else {
    Refuse(host, {answer.error_message(), answer.error_message()});
    printer_.HostFailed(host, true,
                        Error{static_cast<ErrorCode>(answer.error_code()), answer.error_reason(),
                              answer.error_message(), ""});
    hosts_[host].jobs.erase(found);
    CountFailures(1);
    if (input_) input_->GiveUp(host);
    if (feed_) {
      feed_->OnAnswered(host);
      feed_->OnJobEnd(host);
    }
  }
  FillFeed();
}

void RunSession::OnEvent(size_t host, const v1::Event& event) {
  const auto found = hosts_[host].jobs.find(event.job_id());
  if (found == hosts_[host].jobs.end()) return;
  RunJob& job = found->second;
  FoldEvent(event, &job.job);
  if (event.has_exited() && event.exited().has_returned()) {
    job.returned = event.exited().returned().value();
  } else if (event.has_thread_ended() && event.thread_ended().has_returned()) {
    job.returned = event.thread_ended().returned().value();
  }
  printer_.Event(job, event);
  if (IsEnd(event) && input_) input_->GiveUp(host);
  if (event.has_cleaned()) EndJob(host, event.job_id());
  if (queue_.Full() && !std::exchange(paused_, true)) fan_out_.Pause();
}

void RunSession::EndJob(size_t host, const std::string& job_id) {
  RunJob& job = hosts_[host].jobs.at(job_id);
  printer_.JobEnd(job);
  ++ended_jobs_;
  const v1::Job ended = std::move(job.job);
  hosts_[host].jobs.erase(job_id);
  CountCode(ended);
  if (!feed_) return;
  feed_->OnJobEnd(host);
  FillFeed();
}

// The agent closes the job's input where its writer is gone: what it makes of a part is not what
// was asked for.
void RunSession::OnInputLost(size_t host, const Error& why) {
  if (left_ || hosts_[host].ended || hosts_[host].jobs.empty()) return;
  const std::string sentence = "input for the job may be lost: " + why.message;
  Refuse(host, {sentence, sentence});
  if (input_) input_->GiveUp(host);
}

void RunSession::OnInputTaken(size_t host, bool open) {
  if (input_) input_->OnTaken(host, open);
}

void RunSession::OnHost(size_t host, const v1::Host& state) {
  if (!feed_) return;
  const bool process = options_.call.empty() || options_.mode == v1::MODE_FORK;
  feed_->SetSlots(host, process ? state.process_slots() : state.thread_slots());
  FillFeed();
}

// Once the first job is in a journal: before that there is nothing to come back to.
void RunSession::Remember() {
  if (std::exchange(remembered_, true)) return;
  SaveLastRun(context_.paths.state, LastRun{builder_.run_id(), names_});
}

void RunSession::MaybeFinish() {
  if (!std::all_of(hosts_.begin(), hosts_.end(), [](const Host& host) { return host.ended; })) {
    return;
  }
  if (!std::exchange(finished_, true)) {
    if (feed_ && feed_->LinesLeft()) {
      printer_.Note("no host is left for the remaining lines of " + options_.each);
      end_.exit_code = kExitBroodFailed;
    }
    // Who pipes the output on must not take a part of it for all.
    if (printer_.lost_output()) end_.exit_code = kExitBroodFailed;
    printer_.Finish();
  }
  if (queue_.Idle()) {
    loop_.Stop();
  } else if (left_) {
    // What was said last should be seen, but a stuck reader must not hold us.
    loop_.At(After(kLastWordsNanos), [this] { loop_.Stop(); });
  }
}

}  // namespace brood::cli
