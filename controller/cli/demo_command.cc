// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <system_error>

#include "controller/cli/commands.h"
#include "controller/cli/demo_report.h"
#include "controller/lab/demo_run.h"
#include "controller/lab/lab.h"
#include "controller/lab/process_guard.h"

namespace brood::cli {
namespace {

constexpr int kHosts = 3;
// The demo takes seconds; one that hangs is ended by this alarm and cleaned up after.
constexpr unsigned kAlarmSeconds = 180;

// True if everything was as claimed.
bool Show(Lab& lab, const std::string& text, const Context& context) {
  const Result<std::vector<HostAddress>> hosts = lab.Up(kHosts, {});
  if (!hosts) return context.Fail(hosts.error(), kExitFailed) == kExitOk;
  const Result<std::vector<DemoFacts>> facts = RunDemo(*hosts, text);
  if (!facts) return context.Fail(facts.error(), kExitFailed) == kExitOk;
  return PrintDemo(*facts, text, context.out);
}

// Runs in a child process, which may be killed at any moment.
int RunGuardedPart(const Context& context, const std::string& folder) {
  ::alarm(kAlarmSeconds);
  Paths paths = context.paths;
  paths.state = folder + "/state";
  paths.runtime = folder + "/run";
  paths.config = folder + "/config.toml";
  paths.hosts = folder + "/hosts.toml";
  const std::string text = DemoText();
  context.out << "brood demo: starting " << kHosts << " agents on this machine, in " << folder
              << "\n"
              << std::flush;
  Lab lab(paths, context.program_directory);
  const bool held = Show(lab, text, context);
  context.out << std::flush;
  const Result<Lab::Ended> ended = lab.Down();
  if (!ended) return context.Fail(ended.error(), kExitFailed);
  for (const Process& process : ended->killed) {
    context.err << "brood: " << process.name << " (pid " << process.pid
                << ") did not end by itself\n";
  }
  return held && ended->killed.empty() && ended->left.empty() ? kExitOk : kExitFailed;
}

int Demo(Context& context) {
  const Result<std::string> folder = MakeDemoFolder();
  if (!folder) return context.Fail(folder.error(), kExitFailed);
  const Result<Guarded> guarded = RunGuarded([&] { return RunGuardedPart(context, *folder); });
  std::error_code error;
  // What an agent had to say is worth more than a tidy folder.
  const bool keep = guarded.ok() && guarded->stopped_by == 0 &&
                    (guarded->exit_code != 0 || !guarded->left.empty());
  if (!keep) std::filesystem::remove_all(*folder, error);
  if (!guarded) return context.Fail(guarded.error(), kExitFailed);
  if (guarded->stopped_by != 0) {
    context.err << "brood: stopped; every process of the demo has ended\n" << std::flush;
    // So that a script that called us stops too.
    ::signal(guarded->stopped_by, SIG_DFL);
    ::kill(::getpid(), guarded->stopped_by);
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
  }
  for (const Process& process : guarded->left) {
    context.err << "brood: " << process.name << " (pid " << process.pid
                << ") was left behind, and was killed\n";
  }
  if (keep) {
    context.err << "brood: the demo failed; logs are in " << *folder << "\n";
    return guarded->exit_code != 0 ? guarded->exit_code : kExitFailed;
  }
  PrintDemoEnd(context.program_directory, context.out);
  return kExitOk;
}

Action Declare(CLI::App&, Context& context) {
  return [&context] { return Demo(context); };
}

}  // namespace

Command DemoCommand() {
  return {"demo", "see on three hosts of this machine how a fork and a thread differ", Declare};
}

}  // namespace brood::cli
