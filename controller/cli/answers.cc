// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/answers.h"

#include <algorithm>
#include <iostream>

#include "controller/cli/command.h"
#include "controller/client/each_host.h"

namespace brood::cli {
namespace {

// As many ids as one request takes.
constexpr size_t kIdsMax = 1024;

}  // namespace

int AskForJobs(const std::vector<FoundJob>& jobs, const Context& context,
               const std::function<Result<JobAnswers>(Connection&, const HostJobs&)>& ask) {
  const std::vector<HostJobs> by_host = ByHost(jobs);
  std::vector<JobAnswers> answers(by_host.size());
  const auto failed = EachHost(HostsOf(by_host), [&](size_t i, Connection& connection) -> Status {
    const std::vector<std::string>& ids = by_host[i].ids;
    for (size_t first = 0; first < ids.size(); first += kIdsMax) {
      const size_t last = std::min(first + kIdsMax, ids.size());
      const HostJobs part{by_host[i].host,
                          {ids.begin() + static_cast<ptrdiff_t>(first),
                           ids.begin() + static_cast<ptrdiff_t>(last)}};
      auto some = ask(connection, part);
      if (!some) return some.error();
      answers[i].insert(answers[i].end(), some->begin(), some->end());
    }
    return Ok();
  });
  int code = kExitOk;
  for (size_t i = 0; i < by_host.size(); ++i) {
    if (failed[i]) {
      context.Complain(by_host[i].host.name, *failed[i]);
      code = kExitFailed;
    }
    for (const v1::JobAnswer& answer : answers[i]) {
      if (answer.error_code() == 0) continue;
      context.Complain(by_host[i].host.name + "/" + answer.job_id(),
                       Error{static_cast<ErrorCode>(answer.error_code()), answer.error_reason(),
                             answer.error_message(), ""});
      code = kExitFailed;
    }
  }
  return code;
}

}  // namespace brood::cli
