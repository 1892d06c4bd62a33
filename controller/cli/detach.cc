// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/detach.h"

#include <absl/time/clock.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>

#include "common/job/exit_code.h"
#include "controller/cli/command.h"
#include "controller/cli/last_run.h"
#include "controller/client/each_host.h"
#include "controller/client/run_stream.h"

namespace brood::cli {
namespace {

// What a full queue asks its clients to wait, in its RetryInfo.
constexpr absl::Duration kQueueFullPause = absl::Milliseconds(100);

// One host's share of a round, and what became of it.
struct Share {
  std::vector<v1::JobSubmission> jobs;
  std::vector<v1::SubmittedJob> answers;
};

// Submits all of it; what a full queue refuses is tried again, as long as it takes.
Status SubmitShare(Connection& connection, bool wait_for_room, Share& share) {
  std::vector<v1::JobSubmission> left = std::move(share.jobs);
  while (!left.empty()) {
    v1::SubmitJobsRequest request;
    for (const auto& job : left) *request.add_jobs() = job;
    auto response = connection.SubmitJobs(request);
    if (!response) return response.error();
    std::vector<v1::JobSubmission> again;
    for (int i = 0; i < response->accepted_size(); ++i) {
      const v1::SubmittedJob& answer = response->accepted(i);
      if (wait_for_room && answer.error_code() == static_cast<int>(ErrorCode::kResourceExhausted)) {
        again.push_back(std::move(left[static_cast<size_t>(i)]));
      } else {
        share.answers.push_back(answer);
      }
    }
    left = std::move(again);
    if (!left.empty()) absl::SleepFor(kQueueFullPause);
  }
  return Ok();
}

// Submits a round to all hosts at once; returns false if anything was refused.
bool SubmitRound(const RunOptions& options, const std::vector<HostAddress>& hosts,
                 std::vector<Share>& shares, Context& context) {
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
               const std::vector<HostAddress>& hosts, Context& context) {
  std::ifstream file;
  if (options.each != "-") {
    file.open(options.each);
    if (!file)
      return context.Fail(ErrnoError(errno, "open '" + options.each + "'"), kExitBroodFailed);
  }
  std::istream& lines = options.each == "-" ? std::cin : file;
  bool good = true;
  uint64_t number = 0;
  while (lines) {
    std::vector<Share> shares(hosts.size());
    size_t dealt = 0;
    for (std::string line; dealt < hosts.size() * RunStream::kBatchMax && std::getline(lines, line);
         ++dealt) {
      shares[dealt % hosts.size()].jobs.push_back(builder.JobOfLine(++number, line));
    }
    if (dealt > 0) good = SubmitRound(options, hosts, shares, context) && good;
  }
  return good ? kExitOk : kExitBroodFailed;
}

}  // namespace

int Detach(const RunOptions& options, const SpecBuilder& builder,
           const std::vector<HostAddress>& hosts, Context& context) {
  LastRun last{builder.run_id(), {}};
  for (const HostAddress& host : hosts) last.hosts.push_back(host.name);
  SaveLastRun(context.paths.state, last);
  if (!options.each.empty()) return DetachEach(options, builder, hosts, context);
  std::vector<Share> shares(hosts.size());
  for (Share& share : shares) share.jobs.push_back(builder.Job());
  return SubmitRound(options, hosts, shares, context) ? kExitOk : kExitBroodFailed;
}

}  // namespace brood::cli
