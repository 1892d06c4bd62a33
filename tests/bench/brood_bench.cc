// SPDX-License-Identifier: Apache-2.0
//
// brood against bare loops, each pair in turn, the ratio taken pair by pair:
// `brood_bench [REPETITIONS [commands|durable|forks|threads]]` prints the table, or one
// kind's part of it (tests/bench/run starts it).
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/bench/baseline.h"
#include "tests/bench/throughput.h"
#include "tests/testing/agent_process.h"

namespace brood::bench {
namespace {

using testing::AgentProcess;
using testing::CallJob;
using testing::CommandJob;

constexpr int kLatencySamples = 400;

// Seconds from sending one job on an open stream to the event of its end.
std::vector<double> Latencies(AgentProcess* agent, const std::string& prefix, const Make& make) {
  grpc::ClientContext context;
  const auto stream = agent->jobs().RunJobs(&context);
  std::vector<double> latencies;
  v1::RunJobsRequest request;
  v1::RunJobsResponse response;
  for (int i = 0; i < kLatencySamples; ++i) {
    request.Clear();
    *request.add_jobs() = make(prefix + std::to_string(i));
    const double begin = Seconds();
    if (!stream->Write(request)) return {0};
    bool ended = false;
    bool cleaned = false;
    while (!cleaned) {
      if (!stream->Read(&response)) return {0};
      for (const v1::Event& event : response.events()) {
        if (!ended && (event.has_exited() || event.has_thread_ended())) {
          ended = true;
          latencies.push_back(Seconds() - begin);
        }
        cleaned = cleaned || event.has_cleaned();
      }
    }
  }
  stream->WritesDone();
  (void)stream->Finish();
  return latencies;
}

// Seconds of one unary call that does nothing: the server's own health check.
std::vector<double> UnaryLatencies(AgentProcess* agent) {
  const auto stub = grpc::health::v1::Health::NewStub(agent->channel());
  std::vector<double> latencies;
  for (int i = 0; i < kLatencySamples; ++i) {
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckResponse response;
    const double begin = Seconds();
    if (!stub->Check(&context, grpc::health::v1::HealthCheckRequest(), &response).ok()) return {0};
    latencies.push_back(Seconds() - begin);
  }
  return latencies;
}

double RunLoop(const std::string& words) {
  const char* const directory = std::getenv("BROOD_BENCH_DIR");
  const std::string command =
      std::string(directory != nullptr ? directory : ".") + "/brood_loops " + words;
  FILE* const pipe = ::popen(command.c_str(), "r");
  double value = 0;
  if (pipe == nullptr || std::fscanf(pipe, "%lf", &value) != 1) value = 0;
  if (pipe != nullptr) ::pclose(pipe);
  return value;
}

// One row: brood's figure, the yardstick's, and their ratio, repetition by repetition.
struct Row {
  std::string name;
  std::string unit;
  std::vector<double> brood;
  std::vector<double> bare;
  std::vector<double> ratio;

  void Add(double brood_value, double bare_value) {
    brood.push_back(brood_value);
    bare.push_back(bare_value);
    ratio.push_back(bare_value > 0 ? brood_value / bare_value : 0);
  }
  void Print() const {
    if (ratio.empty()) return;
    std::printf("%-44s %10.1f %10.1f %-4s %6.2f [%.2f-%.2f]\n", name.c_str(),
                Percentile(brood, 0.5), Percentile(bare, 0.5), unit.c_str(), Percentile(ratio, 0.5),
                Percentile(ratio, 0), Percentile(ratio, 1));
  }
};

// Where a job's CPU goes beside its own process: what a rate is made of, and steadier than it.
struct Cpu {
  std::string name;
  std::vector<double> agent, parent, client;

  // Jobs per second of `run`, which runs `count` jobs.
  double Of(AgentProcess* host, int parent_pid, int count, const std::function<double()>& run) {
    const std::vector<int> pids = {host->pid(), parent_pid, 0};
    std::vector<double> before;
    for (const int pid : pids) before.push_back(CpuSeconds(pid));
    const double rate = run();
    std::vector<double>* const into[] = {&agent, &parent, &client};
    for (size_t i = 0; i < pids.size(); ++i)
      into[i]->push_back((CpuSeconds(pids[i]) - before[i]) * 1e6 / count);
    return rate;
  }
  void Print() const {
    if (agent.empty()) return;
    std::printf("CPU of a %s, us: agent %.0f, parent %.0f, client %.0f\n", name.c_str(),
                Percentile(agent, 0.5), Percentile(parent, 0.5), Percentile(client, 0.5));
  }
};

int ParentPid(AgentProcess* agent) {
  v1::ListParentsResponse parents;
  grpc::ClientContext context;
  if (!agent->parents().ListParents(&context, v1::ListParentsRequest(), &parents).ok()) return 0;
  return parents.parents_size() > 0 ? parents.parents(0).pid() : 0;
}

int Main(int repetitions, const std::string& only) {
  const auto wanted = [&only](const char* kind) { return only.empty() || only == kind; };
  Row commands{"commands, 4 at once / posix_spawn loop", "1/s", {}, {}, {}};
  Row forks{"forked calls, 8 at once / fork loop", "1/s", {}, {}, {}};
  Row threads{"thread calls, 8 at once / create+join loop", "1/s", {}, {}, {}};
  Row command_p50{"one command p50 / posix_spawn+wait p50", "us", {}, {}, {}};
  Row thread_p50{"one thread call p50 / no-op unary call p50", "us", {}, {}, {}};
  const Make command = [](const std::string& id) { return CommandJob(id, {"/bin/true"}); };
  const Make fork = [](const std::string& id) {
    return CallJob(id, v1::MODE_FORK, "demo.noop", {});
  };
  const Make thread = [](const std::string& id) {
    return CallJob(id, v1::MODE_THREAD, "demo.noop", {});
  };
  // With more at once each sync is shared by more.
  const std::string durable_at_once = "16";
  Row durables{"durable commands, 16 at once / posix_spawn loop", "1/s", {}, {}, {}};
  Row written{"commands, 16 at once / posix_spawn loop", "1/s", {}, {}, {}};
  Row durable_p50{"one durable command p50 / append+fdatasync p50", "us", {}, {}, {}};
  const Make durable = [](const std::string& id) {
    v1::JobSubmission job = CommandJob(id, {"/bin/true"});
    job.mutable_spec()->set_durable(true);
    return job;
  };
  constexpr double kMicro = 1e6;
  constexpr int kCommands = 2'000;
  constexpr int kForks = 4'000;
  constexpr int kThreads = 20'000;
  Cpu command_cpu{"command", {}, {}, {}};
  Cpu fork_cpu{"forked call", {}, {}, {}};
  Cpu thread_cpu{"thread call", {}, {}, {}};
  double pss = 0;
  for (int i = 0; i < repetitions; ++i) {
    if (wanted("commands")) {
      AgentProcess agent({"--slots", "4"});
      const int parent = ParentPid(&agent);
      pss = PssMebibytes(agent.pid()) + PssMebibytes(agent.GetHost().supervisor_pid()) +
            PssMebibytes(parent);
      const double rate = command_cpu.Of(
          &agent, parent, kCommands, [&] { return Throughput(&agent, "c", kCommands, command); });
      commands.Add(rate, RunLoop("spawn 2000 4"));
      command_p50.Add(Percentile(Latencies(&agent, "l", command), 0.5) * kMicro,
                      RunLoop("latency 400 1") * kMicro);
    }
    if (wanted("durable")) {
      AgentProcess agent({"--slots", durable_at_once});
      const std::string loop = "spawn 2000 " + durable_at_once;
      durables.Add(Throughput(&agent, "d", 2000, durable), RunLoop(loop));
      written.Add(Throughput(&agent, "w", 2000, command), RunLoop(loop));
      durable_p50.Add(Percentile(Latencies(&agent, "s", durable), 0.5) * kMicro,
                      RunLoop("sync 400 512") * kMicro);
    }
    AgentProcess agent({"--slots", "8", "--thread-slots", "8"});
    const int parent = ParentPid(&agent);
    if (wanted("forks")) {
      const double rate = fork_cpu.Of(&agent, parent, kForks,
                                      [&] { return Throughput(&agent, "f", kForks, fork); });
      forks.Add(rate, RunLoop("fork 4000 8"));
    }
    if (!wanted("threads")) continue;
    const double rate = thread_cpu.Of(&agent, parent, kThreads,
                                      [&] { return Throughput(&agent, "t", kThreads, thread); });
    threads.Add(rate, RunLoop("thread 20000 8"));
    thread_p50.Add(Percentile(Latencies(&agent, "u", thread), 0.5) * kMicro,
                   Percentile(UnaryLatencies(&agent), 0.5) * kMicro);
  }
  std::printf("%-44s %10s %10s %-4s %6s\n", "", "brood", "bare", "", "ratio");
  for (const Row* row :
       {&commands, &written, &durables, &forks, &threads, &command_p50, &durable_p50, &thread_p50})
    row->Print();
  for (const Cpu* cpu : {&command_cpu, &fork_cpu, &thread_cpu}) cpu->Print();
  if (wanted("commands"))
    std::printf("%-44s %10.1f            MiB\n", "idle agent + supervisor + one parent, PSS", pss);
  return 0;
}

}  // namespace
}  // namespace brood::bench

int main(int argc, char** argv) {
  return brood::bench::Main(argc > 1 ? std::atoi(argv[1]) : 5, argc > 2 ? argv[2] : "");
}
