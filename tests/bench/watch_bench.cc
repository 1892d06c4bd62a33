// SPDX-License-Identifier: Apache-2.0
//
// What it costs the others that a cell is watched: the rate of other jobs while one job writes a
// cell 100,000 times a second, watched beside unwatched, in the order A B B A so that a drift of
// the machine hits both: `watch_bench [REPETITIONS]` prints the table.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/baseline.h"
#include "tests/bench/throughput.h"
#include "tests/testing/agent_process.h"

namespace brood::bench {
namespace {

using testing::AgentProcess;
using testing::CallJob;
using testing::CommandJob;

// A watch of the cell x whose reader takes what comes, until it goes.
class Watch {
 public:
  explicit Watch(AgentProcess* agent) {
    v1::WatchMemoryRequest request;
    request.add_cells("x");
    stream_ = agent->parents().WatchMemory(&context_, request);
    v1::WatchMemoryResponse greeting;
    if (!stream_->Read(&greeting)) std::fprintf(stderr, "watch_bench: the watch has failed\n");
    reader_ = std::thread([this] {
      v1::WatchMemoryResponse page;
      while (stream_->Read(&page)) events_ += page.events_size();
    });
  }
  ~Watch() {
    context_.TryCancel();
    reader_.join();
    (void)stream_->Finish();
  }
  int events() const { return events_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchMemoryResponse>> stream_;
  std::atomic<int> events_{0};
  std::thread reader_;
};

// How often x has been written by now, where it has been written most: a fork counts in its copy.
double Writes(AgentProcess* agent) {
  v1::ReadMemoryRequest request;
  request.add_cells("x");
  request.set_copies(true);
  v1::ReadMemoryResponse response;
  grpc::ClientContext context;
  if (!agent->parents().ReadMemory(&context, request, &response).ok() ||
      response.cells_size() == 0) {
    return 0;
  }
  uint64_t most = response.cells(0).outside().version();
  for (const v1::CellCopy& copy : response.cells(0).copies())
    most = std::max(most, copy.outside().version());
  return static_cast<double>(most);
}

struct Row {
  const char* name;
  v1::Mode writer;
  int writers;
  int count;
  Make make;
  std::vector<double> unwatched, watched, ratio, writes, events;
};

// What an agent keeps of ended jobs: as long as that fills, a job is cheaper than later, which the
// first round alone would have.
constexpr int kJobsBefore = 12'000;

void Measure(Row* row) {
  AgentProcess agent({"--slots", "6", "--thread-slots", "10"});
  Throughput(&agent, "before-", kJobsBefore,
             [](const std::string& id) { return CallJob(id, v1::MODE_THREAD, "demo.noop", {}); });
  agent.Run({CallJob("seed", v1::MODE_THREAD, "demo.add", {"x", "0"})});
  for (int i = 0; i < row->writers; ++i) {
    const std::string id = "writer" + std::to_string(i);
    v1::SubmitJobsRequest request;
    *request.add_jobs() = CallJob(id, row->writer, "demo.seq",
                                  {"x", "1", "1000000000", std::to_string(100'000 / row->writers)});
    v1::SubmitJobsResponse response;
    grpc::ClientContext context;
    (void)agent.jobs().SubmitJobs(&context, request, &response);
    agent.WaitFor(id, [](const v1::Event& event) { return event.has_started(); });
  }
  double rates[2] = {0, 0};
  int round = 0;
  for (const bool watched : {false, true, true, false}) {
    const std::string prefix = "j" + std::to_string(round++) + "-";
    const std::unique_ptr<Watch> watch = watched ? std::make_unique<Watch>(&agent) : nullptr;
    const double writes = Writes(&agent);
    const double begin = Seconds();
    rates[watched] += Throughput(&agent, prefix, row->count, row->make) / 2;
    const double seconds = Seconds() - begin;
    if (!watched) continue;
    row->writes.push_back((Writes(&agent) - writes) / seconds);
    row->events.push_back(watch->events() / seconds);
  }
  row->unwatched.push_back(rates[false]);
  row->watched.push_back(rates[true]);
  row->ratio.push_back(rates[true] / rates[false]);
}

int Main(int repetitions) {
  const Make command = [](const std::string& id) { return CommandJob(id, {"/bin/true"}); };
  const Make fork = [](const std::string& id) {
    return CallJob(id, v1::MODE_FORK, "demo.noop", {});
  };
  const Make thread = [](const std::string& id) {
    return CallJob(id, v1::MODE_THREAD, "demo.noop", {});
  };
  Row rows[] = {
      {"commands, a thread writes", v1::MODE_THREAD, 1, 3000, command, {}, {}, {}, {}, {}},
      {"forked calls, a thread writes", v1::MODE_THREAD, 1, 3000, fork, {}, {}, {}, {}, {}},
      {"thread calls, a thread writes", v1::MODE_THREAD, 1, 20000, thread, {}, {}, {}, {}, {}},
      {"commands, a fork writes", v1::MODE_FORK, 1, 3000, command, {}, {}, {}, {}, {}},
      {"forked calls, a fork writes", v1::MODE_FORK, 1, 3000, fork, {}, {}, {}, {}, {}},
      {"thread calls, a fork writes", v1::MODE_FORK, 1, 20000, thread, {}, {}, {}, {}, {}},
      {"thread calls, two threads write in turn",
       v1::MODE_THREAD,
       2,
       20000,
       thread,
       {},
       {},
       {},
       {},
       {}}};
  for (int i = 0; i < repetitions; ++i) {
    for (Row& row : rows) Measure(&row);
  }
  std::printf("%-42s %10s %10s %6s %12s %10s %9s\n", "other jobs, while x is written", "unwatched",
              "watched", "ratio", "", "writes/s", "events/s");
  for (const Row& row : rows) {
    std::printf("%-42s %8.1f/s %8.1f/s %6.2f [%.2f-%.2f] %10.0f %9.1f\n", row.name,
                Percentile(row.unwatched, 0.5), Percentile(row.watched, 0.5),
                Percentile(row.ratio, 0.5), Percentile(row.ratio, 0), Percentile(row.ratio, 1),
                Percentile(row.writes, 0.5), Percentile(row.events, 0.5));
  }
  return 0;
}

}  // namespace
}  // namespace brood::bench

int main(int argc, char** argv) { return brood::bench::Main(argc > 1 ? std::atoi(argv[1]) : 5); }
