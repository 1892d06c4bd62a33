// SPDX-License-Identifier: Apache-2.0
#include <absl/synchronization/mutex.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/event_loop.h"
#include "common/job/nearest_word.h"
#include "controller/cli/commands.h"
#include "controller/cli/experiment_report.h"
#include "controller/cli/run_id.h"
#include "controller/cli/signal_source.h"
#include "controller/cli/table.h"
#include "controller/client/each_host.h"
#include "controller/experiment/experiment_file.h"
#include "controller/experiment/runner.h"
#include "controller/experiment/shipped.h"

namespace brood::cli {
namespace {

constexpr char kClaims[] = "claims";

enum class Format { kTable, kMarkdown, kJson, kJUnit };

struct Options {
  std::string what;
  std::string hosts;
  std::vector<std::string> only;
  bool evidence = false;
  std::string format = "table";
};

Result<Experiment> ReadShipped(const ShippedExperiment& shipped) {
  return ReadExperiment(shipped.text, shipped.file);
}

Result<std::string> ReadFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file)
    return ErrnoError(errno == 0 ? EIO : errno, "cannot read the experiment '" + path + "'");
  return text;
}

// The shipped ones by name, or a file.
Result<std::vector<Experiment>> Find(const std::string& what) {
  std::vector<Experiment> found;
  std::vector<std::string> names = {kClaims};
  for (const ShippedExperiment& shipped : ShippedExperiments()) {
    Result<Experiment> experiment = ReadShipped(shipped);
    if (!experiment) return experiment.error();
    names.push_back(experiment->name);
    if (what == kClaims || what == experiment->name) found.push_back(*std::move(experiment));
  }
  if (!found.empty()) return found;
  const Result<std::string> text = ReadFile(what);
  if (!text) {
    Error error = text.error();
    const std::string nearest = NearestWord(what, names);
    error.message += nearest.empty() ? "; `brood experiment list` shows those that come with brood"
                                     : "; did you mean '" + nearest + "'?";
    return error;
  }
  Result<Experiment> experiment = ReadExperiment(*text, what);
  if (!experiment) return experiment.error();
  found.push_back(*std::move(experiment));
  return found;
}

Status Choose(const std::vector<std::string>& only, std::vector<Experiment>* experiments) {
  if (only.empty()) return Ok();
  std::vector<Experiment> chosen;
  for (const std::string& name : only) {
    const size_t before = chosen.size();
    for (const Experiment& experiment : *experiments) {
      if (experiment.name == name) chosen.push_back(experiment);
    }
    if (chosen.size() == before) {
      return FieldError("--only", "there is no '" + name + "' among what is to be run");
    }
  }
  *experiments = std::move(chosen);
  return Ok();
}

// Runs all of them on all hosts at once, each host at its own pace.
class Run {
 public:
  Run(const std::vector<Experiment>& experiments, const std::vector<HostAddress>& hosts,
      const Context& context)
      : experiments_(experiments), hosts_(hosts), context_(context) {
    for (const Experiment& experiment : experiments) {
      results_.push_back(ExperimentResult{&experiment, std::vector<HostVerdict>(hosts.size())});
    }
  }

  // The signal that stopped it, or 0.
  int Do() {
    auto signals = SignalSource::Create(SignalSource::Pipe::kIgnore);
    auto loop = EventLoop::Create();
    if (!signals || !loop) {
      failed_ = EachHost(hosts_, [this](size_t host, Connection& to) { return OnHost(host, to); });
      return 0;
    }
    int signal = 0;
    (*signals)->Attach(**loop, [this, &signal](int number) {
      if (signal == 0) Say("stopping; ending what was started");
      signal = number;
      stop_ = true;
    });
    std::thread runner([&] {
      failed_ = EachHost(hosts_, [this](size_t host, Connection& to) { return OnHost(host, to); });
      (*loop)->Stop();
    });
    (*loop)->Run();
    runner.join();
    (*signals)->Detach();
    if (context_.err_is_terminal) context_.err << "\r\x1b[K" << std::flush;
    return signal;
  }

  const std::vector<ExperimentResult>& results() const { return results_; }
  // Hosts that could not be asked at all.
  const std::vector<Status>& failed() const { return failed_; }

 private:
  Status OnHost(size_t host, Connection& connection) {
    for (size_t i = 0; i < experiments_.size(); ++i) {
      RunSettings settings;
      settings.prefix = "x" + NewRunId().substr(0, 9);
      settings.stop = &stop_;
      settings.progress = [&](size_t step) {
        Say(hosts_[host].name + ": " + experiments_[i].name + ", step " + std::to_string(step) +
            " of " + std::to_string(experiments_[i].steps.size()));
      };
      const Result<Observations> seen = RunExperiment(connection, experiments_[i], settings);
      if (!seen) return seen.error();
      results_[i].hosts[host] = Judge(experiments_[i], *seen);
    }
    return Ok();
  }

  void Say(const std::string& line) {
    if (!context_.err_is_terminal) return;
    const absl::MutexLock lock(&mutex_);
    context_.err << "\r\x1b[K" << line << std::flush;
  }

  const std::vector<Experiment>& experiments_;
  const std::vector<HostAddress>& hosts_;
  const Context& context_;
  std::vector<ExperimentResult> results_;
  std::vector<Status> failed_;
  std::atomic<bool> stop_{false};
  absl::Mutex mutex_;
};

int RunAll(const Options& options, Context& context) {
  constexpr int kExitBrood = 125;  // as `brood run` says it
  static const std::set<std::string> kFormats = {"table", "markdown", "json", "junit"};
  if (kFormats.count(options.format) == 0) {
    return context.Fail(
        FieldError("-o", "'" + options.format + "' is not one of table, markdown, json, junit"),
        kExitBrood);
  }
  Result<std::vector<Experiment>> experiments = Find(options.what);
  if (!experiments) return context.Fail(experiments.error(), kExitBrood);
  if (const Status bad = Choose(options.only, &*experiments)) return context.Fail(*bad, kExitBrood);
  const Result<std::vector<HostAddress>> hosts = context.Hosts(options.hosts);
  if (!hosts) return context.Fail(hosts.error(), kExitBrood);
  Run run(*experiments, *hosts, context);
  const int signal = run.Do();
  bool broken = false;
  for (size_t i = 0; i < hosts->size(); ++i) {
    if (!run.failed()[i]) continue;
    context.Complain((*hosts)[i].name, *run.failed()[i]);
    broken = true;
  }
  if (signal != 0) return DieOf(signal);
  if (broken) return kExitBrood;
  if (options.format == "json") {
    PrintJson(run.results(), context.out);
  } else if (options.format == "junit") {
    PrintJUnit(run.results(), context.out);
  } else if (options.format == "markdown") {
    PrintMarkdown(run.results(), context.out);
  } else {
    PrintTable(run.results(), options.evidence, context.out);
  }
  context.out << std::flush;
  return WorstOf(run.results()) == Verdict::kPassed ? kExitOk : kExitFailed;
}

int PrintList(Context& context) {
  Table table({"NAME", "STEPS", "CLAIMS", "CONTROLS", "TITLE"});
  for (const size_t column : {1, 2, 3}) table.AlignRight(column);
  const Result<std::vector<Experiment>> all = Find(kClaims);
  if (!all) return context.Fail(all.error(), kExitFailed);
  for (const Experiment& experiment : *all) {
    size_t controls = 0;
    for (const Claim& claim : experiment.claims) controls += claim.control;
    table.Add({experiment.name, std::to_string(experiment.steps.size()),
               std::to_string(experiment.claims.size() - controls), std::to_string(controls),
               experiment.title});
  }
  table.Print(context.out);
  return kExitOk;
}

int Explain(const Options& options, Context& context) {
  const Result<std::vector<Experiment>> all = Find(options.what);
  if (!all) return context.Fail(all.error(), kExitFailed);
  for (size_t i = 0; i < all->size(); ++i) {
    if (i > 0) context.out << "\n";
    PrintExplanation((*all)[i], context.out);
  }
  return kExitOk;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  auto action = std::make_shared<Action>();
  app.require_subcommand(1);
  CLI::App* const run = app.add_subcommand("run", "run experiments and judge what they claim");
  run->add_option("WHAT", options->what,
                  "a file, the name of one that comes with brood, or 'claims'")
      ->required();
  AddHostsOption(*run, options->hosts);
  run->add_option("--only", options->only, "of these, such as C5,C9")
      ->delimiter(',')
      ->type_name("NAME");
  run->add_flag("--evidence", options->evidence, "show what each check found");
  run->add_option("-o,--format", options->format, "format of the output")
      ->type_name("table|markdown|json|junit");
  RefuseOutputOption(*run);
  run->callback([=, &context] { *action = [=, &context] { return RunAll(*options, context); }; });
  CLI::App* const list = app.add_subcommand("list", "list the experiments that come with brood");
  list->callback([=, &context] { *action = [&context] { return PrintList(context); }; });
  CLI::App* const explain =
      app.add_subcommand("explain", "say what an experiment does and claims, without running it");
  explain->add_option("WHAT", options->what, "as for run")->required();
  explain->callback(
      [=, &context] { *action = [=, &context] { return Explain(*options, context); }; });
  return [action] { return (*action)(); };
}

}  // namespace

Command ExperimentCommand() {
  return {"experiment", "run claims about forks and threads, and see whether they are so", Declare};
}

}  // namespace brood::cli
