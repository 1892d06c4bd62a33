// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "common/base/event_loop.h"
#include "controller/cli/commands.h"
#include "controller/cli/live_text.h"
#include "controller/cli/run_id.h"
#include "controller/cli/signal_source.h"
#include "controller/cli/twin_report.h"
#include "controller/lab/twin_run.h"

namespace brood::cli {
namespace {

constexpr char kOwnCell[] = "twin";
constexpr int kRoundsDefault = 5;

struct Options {
  std::string set;
  std::vector<std::string> words;
  std::string parent;
  std::string cell;
  int rounds = kRoundsDefault;
  OutputFormat format = OutputFormat::kTable;
};

TwinCall CallOf(const Options& options) {
  TwinCall call;
  call.run_id = NewRunId();
  call.parent = options.parent;
  call.cell = options.cell;
  call.rounds = options.rounds;
  if (options.words.empty()) {
    // In a parent that is somebody's the cell is to be nobody else's.
    const std::string own = options.parent.empty() ? kOwnCell : kOwnCell + ("-" + call.run_id);
    if (call.cell.empty()) call.cell = own;
    call.task = "demo.add";
    call.words = {call.cell, "1"};
    call.makes_cell = call.cell == own;
  } else {
    call.task = options.words[0];
    call.words.assign(options.words.begin() + 1, options.words.end());
  }
  return call;
}

// What is known so far, shown while it grows.
class Board {
 public:
  Board(size_t hosts, Context& context) : facts_(hosts), live_(context.out, context.out_fd) {}

  void Change(size_t host, const TwinFacts& facts, bool show) {
    facts_[host] = facts;
    if (!show) return;
    std::ostringstream text;
    for (const TwinFacts& one : facts_)
      if (!one.host.empty()) PrintTwin(one, false, text);
    live_.Show(text.str());
  }
  void EndShow() { live_.Clear(); }
  const std::vector<TwinFacts>& facts() const { return facts_; }

 private:
  std::vector<TwinFacts> facts_;
  LiveText live_;
};

int Twin(const Options& options, Context& context) {
  // Before any other thread: they inherit what is blocked.
  auto signals = SignalSource::Create(SignalSource::Pipe::kDie);
  auto loop = EventLoop::Create();
  if (!signals) return context.Fail(signals.error(), kExitFailed);
  if (!loop) return context.Fail(loop.error(), kExitFailed);
  const Result<std::vector<HostAddress>> hosts = context.Hosts(options.set);
  if (!hosts) return context.Fail(hosts.error(), kExitFailed);
  const bool live = context.out_is_terminal && options.format == OutputFormat::kTable;
  Board board(hosts->size(), context);
  TwinRun run(CallOf(options),
              [&](size_t host, const TwinFacts& facts) { board.Change(host, facts, live); });
  int ended_by = 0;
  std::vector<Status> ends;
  const Status attached = (*signals)->Attach(**loop, [&](int signal) {
    ended_by = signal;
    run.Stop();
  });
  if (attached) return context.Fail(*attached, kExitFailed);
  std::thread runner([&] {
    ends = run.Run(*hosts);
    (*loop)->Stop();
  });
  (*loop)->Run();
  runner.join();
  (*signals)->Detach();
  board.EndShow();
  if (ended_by != 0) {
    context.err << "brood: stopped; jobs are cancelled, and the twins' own parents have ended\n";
    return DieOf(ended_by);
  }
  int code = kExitOk;
  std::vector<TwinFacts> read;
  for (size_t i = 0; i < hosts->size(); ++i) {
    if (ends[i]) {
      context.Complain((*hosts)[i].name, *ends[i]);
      code = kExitFailed;
    } else {
      read.push_back(board.facts()[i]);
    }
  }
  if (options.format == OutputFormat::kJson) {
    PrintTwinJson(read, context.out);
    return code;
  }
  for (size_t i = 0; i < read.size(); ++i) {
    if (i > 0) context.out << "\n";
    PrintTwin(read[i], true, context.out);
  }
  return code;
}

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  app.add_option("TASK", options->words,
                 "the task and its arguments (demo.add with a cell of its own, and 1); after --, "
                 "words that begin with - are arguments too")
      ->type_name("ARG");
  AddHostsOption(app, options->set);
  app.add_option("--rounds", options->rounds, "how often (5)")
      ->check(CLI::Range(1, kTwinRoundsMax))
      ->type_name("N");
  app.add_option("--parent", options->parent, "the parent to run in; one of its own without")
      ->type_name("NAME");
  app.add_option("--cell", options->cell, "the cell to look at; the task's argument CELL without")
      ->type_name("NAME");
  AddFormatOption(app, options->format, "table|json");
  return [options, &context] { return Twin(*options, context); };
}

}  // namespace

Command TwinCommand() {
  return {"twin", "run one call as a thread and as a fork at once, and see how they differ",
          Declare};
}

}  // namespace brood::cli
