// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/one_job.h"

#include <utility>
#include <variant>

#include "common/job/event_order.h"
#include "common/job/job_fold.h"
#include "controller/client/run_stream.h"

namespace brood {
namespace {

Error Refusal(const v1::SubmittedJob& answer) {
  return Error{static_cast<ErrorCode>(answer.error_code()), answer.error_reason(),
               answer.error_message(), answer.error_field()};
}

void Take(const v1::Event& event, RanJob* ran) {
  FoldEvent(event, &ran->job);
  if (event.has_output() && event.output().stream() == v1::STREAM_STDOUT) {
    ran->out += event.output().bytes();
  } else if (event.has_exited() && event.exited().has_returned()) {
    ran->returned = event.exited().returned().value();
  } else if (event.has_thread_ended() && event.thread_ended().has_returned()) {
    ran->returned = event.thread_ended().returned().value();
  }
}

}  // namespace

Result<RanJob> RunOneJob(Connection& connection, v1::JobSubmission submission) {
  RanJob ran;
  ran.job.set_job_id(submission.job_id());
  EventOrder order;
  RunStream stream(connection, /*include_output=*/true);
  if (!stream.Submit({std::move(submission)})) stream.CloseSubmissions();
  while (const std::optional<RunStream::Item> item = stream.Next()) {
    if (const auto* answer = std::get_if<v1::SubmittedJob>(&*item)) {
      if (answer->error_code() != 0) return Refusal(*answer);
      continue;
    }
    const v1::Event& event = std::get<v1::Event>(*item);
    if (Status wrong = order.Check(event)) return *wrong;
    Take(event, &ran);
  }
  if (Status status = stream.Finish()) return *status;
  if (Status wrong = order.Finish()) return *wrong;
  return ran;
}

v1::JobSpec CommandSpec(const std::vector<std::string>& argv) {
  v1::JobSpec spec;
  for (const std::string& word : argv) spec.mutable_command()->add_argv(word);
  return spec;
}

v1::JobSpec CallSpec(const std::string& task, const std::vector<std::string>& words,
                     v1::Mode mode) {
  v1::JobSpec spec;
  spec.set_mode(mode);
  spec.mutable_call()->set_task(task);
  for (const std::string& word : words) spec.mutable_call()->add_arguments()->set_word(word);
  return spec;
}

}  // namespace brood
