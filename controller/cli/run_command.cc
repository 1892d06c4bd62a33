// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <memory>
#include <string>

#include "common/job/exit_code.h"
#include "controller/cli/commands.h"
#include "controller/cli/detach.h"
#include "controller/cli/explain.h"
#include "controller/cli/run_options.h"
#include "controller/cli/run_session.h"
#include "controller/cli/signal_source.h"
#include "controller/cli/spec_builder.h"

namespace brood::cli {
namespace {

template <typename Value>
void AddChoice(CLI::App& app, const char* name, Value& value, std::map<std::string, Value> choices,
               const char* type, const char* description) {
  app.add_option_function<std::string>(
         name,
         [&value, name, choices = std::move(choices), type](const std::string& word) {
           const auto found = choices.find(word);
           if (found == choices.end()) {
             throw CLI::ValidationError(name, "'" + word + "' is not one of " + type);
           }
           value = found->second;
         },
         description)
      ->type_name(type);
}

void AddMany(CLI::App& app, const char* name, std::vector<std::string>& values, const char* type,
             const char* description) {
  // One value per option: CLI11 would go on eating words otherwise.
  app.add_option(name, values, description)
      ->type_name(type)
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
}

void AddOutputOptions(CLI::App& app, RunOptions& options) {
  app.add_option_function<std::string>(
         "--output",
         [&options](const std::string& word) {
           if (word == "pipe") {
             options.output = v1::OUTPUT_TARGET_PIPE;
           } else if (word == "file") {
             options.output = v1::OUTPUT_TARGET_FILE;
           } else {
             const bool is_format = word == "text" || word == "json" || word == "jsonl";
             throw CLI::ValidationError(
                 "--output", "'" + word + "' is not one of pipe|file" +
                                 (is_format ? "; it is a format: write -o " + word : ""));
           }
         },
         "where jobs write: pipes that the agent reads (the default), or the kept files "
         "themselves, "
         "so that nothing is lost whoever dies")
      ->type_name("pipe|file");
  app.add_option("--output-max", options.output_max,
                 "bytes kept of each stream, such as 512K or 2G (64M)")
      ->type_name("SIZE")
      ->check(RefuseEmpty);
  AddChoice<v1::OutputOverflow>(app, "--output-overflow", options.output_overflow,
                                {{"drop", v1::OUTPUT_OVERFLOW_DROP},
                                 {"ring", v1::OUTPUT_OVERFLOW_RING},
                                 {"end", v1::OUTPUT_OVERFLOW_END}},
                                "drop|ring|end",
                                "of what is too much: keep the first bytes, keep the last, or end "
                                "the job");
}

void Declare(CLI::App& app, RunOptions& options) {
  AddHostsOption(app, options.hosts);
  AddChoice<v1::Mode>(
      app, "--mode", options.mode,
      {{"auto", v1::MODE_AUTO}, {"fork", v1::MODE_FORK}, {"thread", v1::MODE_THREAD}},
      "auto|fork|thread", "how the jobs are run");
  app.add_option("--parent", options.parent, "the parent to run in")
      ->type_name("NAME")
      ->check(RefuseEmpty);
  app.add_flag("-d,--detach", options.detach, "print the jobs' ids and return");
  app.add_flag("-i,--input", options.input, "give standard input to the jobs");
  app.add_flag(
      "--durable", options.durable,
      "take a job as submitted once it is on the host's disk: it survives a loss of power");
  app.add_option("--each", options.each,
                 "one job per line of the file; {} in CMD stands for the line")
      ->type_name("FILE|-")
      ->check(RefuseEmpty);
  app.add_option("--timeout", options.timeout, "end a job that runs longer")
      ->type_name("DURATION")
      ->check(RefuseEmpty);
  app.add_option("--grace", options.grace, "from SIGTERM to SIGKILL, once a job is to end")
      ->type_name("DURATION")
      ->check(RefuseEmpty);
  AddMany(app, "-e,--env", options.environment, "NAME=VALUE", "set a variable for the jobs");
  app.add_option("--cwd", options.directory, "the jobs' working directory")
      ->type_name("DIR")
      ->check(RefuseEmpty);
  app.add_option("--call", options.call, "call a task with ARG… instead of running a command")
      ->type_name("LIBRARY.TASK")
      ->check(RefuseEmpty);
  app.add_option("--meter", options.meter,
                 "sample the page meters of the jobs so often (MEMORY_PAGES)")
      ->type_name("DURATION")
      ->check(RefuseEmpty);
  app.add_flag("--refuse-if-hazard", options.refuse_if_hazard,
               "do not fork a call while other threads hold, or may hold, a lock");
  app.add_option("--kill-if-stuck", options.kill_if_stuck,
                 "kill a forked call that has waited so long for a lock that nobody can open")
      ->type_name("DURATION")
      ->check(RefuseEmpty);
  AddFanOptions(app, options);
  AddGiveUpOption(app, options.resume);
  AddOutputOptions(app, options);
  app.add_flag("--explain", options.explain, "say which mode would be taken and why; run nothing");
  AddFormatOption(app, options.format, "text|json|jsonl");
  AddChoice<Labels>(
      app, "--label", options.labels,
      {{"auto", Labels::kAuto}, {"always", Labels::kAlways}, {"never", Labels::kNever}},
      "auto|always|never", "put the host's name before each line");
  AddMany(app, "--limit", options.limits, "NAME=VALUE",
          "a limit, such as mem=512M, cpu=90s, procs=64, files=256");
  AddMany(app, "--labels", options.job_labels, "KEY=VALUE", "a label of your own for the jobs");
  app.add_option_function<std::string>(
         "--name",
         [&options](const std::string& name) { options.job_labels.push_back("name=" + name); },
         "the label `name`")
      ->type_name("NAME");
  app.footer(
      "CMD ARG… follow the options; `--` may stand before them. For --call, ARG… are the\n"
      "task's arguments. Exit code: the jobs' highest; 128+n for signal n; 124 timed out;\n"
      "125 brood itself failed, or output was lost that --output-overflow does not speak of;\n"
      "126 not executable; 127 not found.");
}

int Run(const RunOptions& options, Context& context) {
  if (const Status status = CheckFanOptions(options)) {
    return context.Fail(*status, kExitBroodFailed);
  }
  auto builder = SpecBuilder::Create(options, context);
  if (!builder) return context.Fail(builder.error(), kExitBroodFailed);
  auto hosts = context.Hosts(options.hosts);
  if (!hosts) return context.Fail(hosts.error(), kExitBroodFailed);
  if (options.explain) return Explain(options, *builder, *hosts, context);
  if (options.detach) return Detach(options, *builder, *hosts, context);
  // Before the transport makes its threads, which inherit what is blocked.
  auto signals = SignalSource::Create(SignalSource::Pipe::kIgnore);
  if (!signals) return context.Fail(signals.error(), kExitBroodFailed);
  RunSession::End end = RunSession::Run(options, *builder, *hosts, **signals, context);
  signals->reset();
  return end.signal != 0 ? DieOf(end.signal) : end.exit_code;
}

}  // namespace

Command RunCommand() {
  return {"run", "run a command or call a task on hosts",
          [](CLI::App& app, Context& context) -> Action {
            auto options = std::make_shared<RunOptions>();
            Declare(app, *options);
            return [options, &context] {
              options->words = context.words;
              return Run(*options, context);
            };
          },
          true};
}

}  // namespace brood::cli
