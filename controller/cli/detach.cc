// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/detach.h"

#include <absl/time/clock.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/job/exit_code.h"
#include "controller/cli/command.h"
#include "controller/cli/last_run.h"
#include "controller/cli/line_source.h"
#include "controller/client/each_host.h"
#include "controller/client/resume_core.h"

namespace brood::cli {
namespace {

// What a full queue asks its clients to wait, in its RetryInfo.
constexpr absl::Duration kQueueFullPause = absl::Milliseconds(100);

// One host's share of a round, and what became of it.
struct Share {
  std::deque<v1::JobSubmission> jobs;
  std::vector<v1::SubmittedJob> answers;
};

// Submits all of it; what a full queue refuses is tried again, as long as it takes.
Status SubmitShare(Connection& connection, bool wait_for_room, Share& share) {
  while (!share.jobs.empty()) {
    v1::SubmitJobsRequest request;
    RunResume::FillRequest(&share.jobs, request.mutable_jobs());
    auto response = connection.SubmitJobs(request);
    if (!response) return response.error();
    bool full = false;
    // From the last on, so that those that come again are in their order.
    for (int i = response->accepted_size() - 1; i >= 0; --i) {
      const v1::SubmittedJob& answer = response->accepted(i);
      if (wait_for_room && answer.error_code() == static_cast<int>(ErrorCode::kResourceExhausted)) {
        share.jobs.push_front(std::move(*request.mutable_jobs(i)));
        full = true;
      }
    }
    for (const v1::SubmittedJob& answer : response->accepted()) {
      if (!wait_for_room || answer.error_code() != static_cast<int>(ErrorCode::kResourceExhausted))
        share.answers.push_back(answer);
    }
    if (full) absl::SleepFor(kQueueFullPause);
  }
  return Ok();
}

// Submits a round to all hosts at once; returns false if anything was refused. `accepted` is called
// for what was not.
bool SubmitRound(const RunOptions& options, const std::vector<HostAddress>& hosts,
                 std::vector<Share>& shares, const std::function<void()>& accepted,
                 Context& context) {
  const bool each = !options.each.empty();
  const auto answers = EachHost(hosts, [&](size_t i, Connection& connection) {
    return SubmitShare(connection, each, shares[i]);
  });
  bool good = true;
  const auto complain = [&](size_t host, const Error& error) {
    good = false;
    if (options.hosts.empty()) {
      context.Fail(error, kExitBroodFailed);
    } else {
      context.Complain(hosts[host].name, error);
    }
  };
  for (size_t i = 0; i < hosts.size(); ++i) {
    for (const v1::SubmittedJob& job : shares[i].answers) {
      if (job.error_code() == 0) {
        accepted();
        context.out << hosts[i].name << "/" << job.job_id() << "\n";
      } else {
        complain(i, Error{ErrorCode::kUnknown, job.error_reason(), job.error_message(), ""});
      }
    }
    if (answers[i]) complain(i, *answers[i]);
  }
  context.out << std::flush;
  return good;
}

int DetachEach(const RunOptions& options, const SpecBuilder& builder,
               const std::vector<HostAddress>& hosts, const std::function<void()>& accepted,
               Context& context) {
  Result<std::unique_ptr<LineSource>> lines =
      LineSource::Open(options.each, context.in_fd, nullptr, nullptr);
  if (!lines) return context.Fail(lines.error(), kExitBroodFailed);
  bool good = true;
  uint64_t number = 0;
  LineSource::Got got = LineSource::Got::kLine;
  while (got == LineSource::Got::kLine) {
    std::vector<Share> shares(hosts.size());
    size_t dealt = 0;
    std::string line;
    while (dealt < hosts.size() * RunResume::kBatchMax &&
           (got = (*lines)->Next(&line)) == LineSource::Got::kLine) {
      shares[dealt++ % hosts.size()].jobs.push_back(builder.JobOfLine(++number, line));
    }
    if (dealt > 0) good = SubmitRound(options, hosts, shares, accepted, context) && good;
  }
  if (got == LineSource::Got::kError) return context.Fail((*lines)->error(), kExitBroodFailed);
  return good ? kExitOk : kExitBroodFailed;
}

}  // namespace

int Detach(const RunOptions& options, const SpecBuilder& builder,
           const std::vector<HostAddress>& hosts, Context& context) {
  LastRun last{builder.run_id(), {}};
  for (const HostAddress& host : hosts) last.hosts.push_back(host.name);
  // `last` is a run of which there is something to ask about.
  bool saved = false;
  const auto accepted = [&] {
    if (!std::exchange(saved, true)) SaveLastRun(context.paths.state, last);
  };
  if (!options.each.empty()) return DetachEach(options, builder, hosts, accepted, context);
  std::vector<Share> shares(hosts.size());
  for (Share& share : shares) share.jobs.push_back(builder.Job());
  return SubmitRound(options, hosts, shares, accepted, context) ? kExitOk : kExitBroodFailed;
}

}  // namespace brood::cli
