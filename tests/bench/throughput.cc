// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/throughput.h"

#include <grpcpp/grpcpp.h>

#include "tests/bench/baseline.h"

namespace brood::bench {
namespace {

constexpr int kBatch = 64;

}  // namespace

double Throughput(testing::AgentProcess* agent, const std::string& prefix, int count,
                  const Make& make) {
  grpc::ClientContext context;
  const auto stream = agent->jobs().RunJobs(&context);
  const double begin = Seconds();
  int sent = 0;
  int cleaned = 0;
  v1::RunJobsRequest request;
  v1::RunJobsResponse response;
  while (cleaned < count) {
    // Two batches ahead of what has ended keeps the agent's slots full.
    while (sent < count && sent - cleaned < 2 * kBatch) {
      request.Clear();
      for (int i = 0; i < kBatch && sent < count; ++i)
        *request.add_jobs() = make(prefix + std::to_string(sent++));
      if (!stream->Write(request)) return 0;
    }
    if (!stream->Read(&response)) return 0;
    for (const v1::Event& event : response.events()) cleaned += event.has_cleaned();
  }
  const double seconds = Seconds() - begin;
  stream->WritesDone();
  while (stream->Read(&response)) {
  }
  (void)stream->Finish();
  return count / seconds;
}

}  // namespace brood::bench
