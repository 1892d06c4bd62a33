// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/event_loop.h"
#include "controller/cli/commands.h"
#include "controller/cli/gather.h"
#include "controller/cli/host_tree.h"
#include "controller/cli/live_text.h"
#include "controller/cli/signal_source.h"

namespace brood::cli {
namespace {

constexpr int64_t kWatchPeriodNanos = 1'000'000'000;

struct Options {
  std::string set;
  bool threads = false;
  bool watch = false;
  OutputFormat format = OutputFormat::kText;
};

// All jobs that have not ended, page by page.
Status ReadJobs(Connection& connection, HostReading* reading) {
  for (const v1::JobState state : {v1::JOB_STATE_QUEUED, v1::JOB_STATE_STARTING,
                                   v1::JOB_STATE_RUNNING, v1::JOB_STATE_STOPPED}) {
    v1::ListJobsRequest request;
    request.set_page_size(1000);
    request.set_state(state);
    do {
      const Result<v1::ListJobsResponse> page = connection.ListJobs(request);
      if (!page) return page.error();
      reading->jobs.insert(reading->jobs.end(), page->jobs().begin(), page->jobs().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
  }
  return Ok();
}

Result<HostReading> Read(Connection& connection, bool threads) {
  HostReading reading;
  reading.name = connection.address().name;
  const Result<v1::GetHostResponse> host = connection.GetHost({});
  if (!host) return host.error();
  reading.host = host->host();
  const Result<v1::ListParentsResponse> parents = connection.ListParents({});
  if (!parents) return parents.error();
  reading.parents.assign(parents->parents().begin(), parents->parents().end());
  if (Status status = ReadJobs(connection, &reading)) return *status;
  v1::ListProcessesRequest request;
  request.set_threads(threads);
  const Result<v1::ListProcessesResponse> listed = connection.ListProcesses(request);
  if (!listed) return listed.error();
  for (const v1::Process& process : listed->processes()) reading.processes[process.pid()] = process;
  reading.left_out = listed->left_out();
  return reading;
}

// The trees of all hosts as text; `all` is false if one did not answer.
std::string TreeText(const Options& options, const std::vector<HostAddress>& hosts,
                     const Context& context, bool* all) {
  const std::function<Result<HostReading>(Connection&)> ask = [&](Connection& connection) {
    return Read(connection, options.threads);
  };
  const auto readings = Gather(context, hosts, ask);
  *all = AllAnswered(readings);
  std::ostringstream text;
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const std::optional<HostReading>& reading : readings) {
    if (!reading) continue;
    const TreeNode root = BuildTree(*reading);
    if (options.format == OutputFormat::kJson) {
      json.push_back(TreeToJson(root));
    } else {
      PrintTreeText(root, text);
    }
  }
  if (options.format == OutputFormat::kJson) {
    const nlohmann::ordered_json& shown = hosts.size() == 1 && json.size() == 1 ? json[0] : json;
    text << shown.dump(1) << "\n";
  }
  return text.str();
}

// Draws it again each second, in its own place on a terminal; else prints it whenever it has
// changed. Until a signal ends it, or no host answers.
int WatchTree(const Options& options, const std::vector<HostAddress>& hosts, Context& context) {
  auto signals = SignalSource::Create(SignalSource::Pipe::kDie);
  auto loop = EventLoop::Create();
  if (!signals) return context.Fail(signals.error(), kExitFailed);
  if (!loop) return context.Fail(loop.error(), kExitFailed);
  int signal = 0;
  (*signals)->Attach(**loop, [&](int number) {
    signal = number;
    (*loop)->Stop();
  });
  LiveText live(context.out, context.out_fd);
  std::string last;
  bool all = true;
  const std::function<void()> draw = [&] {
    const std::string text = TreeText(options, hosts, context, &all);
    if (text.empty()) return (*loop)->Stop();
    if (context.out_is_terminal) {
      live.Show(text);
    } else if (text != last) {
      context.out << text << std::flush;
    }
    last = text;
    (*loop)->At(BootTime{RealClock().Now().boot.ns + kWatchPeriodNanos}, draw);
  };
  draw();
  (*loop)->Run();
  (*signals)->Detach();
  return signal != 0 ? DieOf(signal) : kExitFailed;
}

int PrintTree(const Options& options, Context& context) {
  const Result<std::vector<HostAddress>> hosts = context.RunningHosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  if (options.watch) return WatchTree(options, *hosts, context);
  bool all = true;
  context.out << TreeText(options, *hosts, context, &all);
  return all ? kExitOk : kExitFailed;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  AddHostsOption(app, options->set);
  app.add_flag("-T,--threads", options->threads, "with the threads of each process");
  app.add_flag("--watch", options->watch, "draw it again each second, until Ctrl-C");
  AddFormatOption(app, options->format, "text|json");
  return [options, &context] { return PrintTree(*options, context); };
}

}  // namespace

Command TreeCommand() {
  return {"tree", "show agent, supervisor, parents, jobs and threads, by who is whose parent",
          Declare};
}

}  // namespace brood::cli
