// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/dispatch.h"

#include <algorithm>
#include <iostream>
#include <string_view>

#include "common/job/exit_code.h"
#include "controller/cli/words.h"

namespace brood::cli {
namespace {

void PrintHelp(const std::vector<Command>& commands, std::ostream& out) {
  out << "brood runs jobs on hosts, as forks and as threads, and shows what became of them.\n\n"
         "Usage: brood COMMAND [OPTIONS] …\n\nCommands:\n";
  size_t width = 0;
  for (const Command& command : commands) {
    width = std::max(width, std::string_view(command.name).size());
  }
  for (const Command& command : commands) {
    const std::string name = command.name;
    out << "  " << name << std::string(width - name.size() + 2, ' ') << command.summary << "\n";
  }
  out << "\nbrood COMMAND --help says more. Try: brood run -- hostname\n";
}

int UsageCode(const Command& command) {
  const std::string_view name = command.name;
  return name == "run" || name == "wait" ? kExitBroodFailed : kExitUsage;
}

// CLI11's sentences have no full stop and name the option.
int Complain(const std::string& name, const std::string& why, int code, Context& context) {
  context.err << "brood: " << why << "; see brood" << (name.empty() ? "" : " " + name)
              << " --help\n"
              << std::flush;
  return code;
}

// "Could not convert: --flag = word" is CLI11's word for a flag that was given a value.
std::string FlagSentence(const CLI::App& app, const std::string& said) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_expected_max() != 0) continue;
    for (const std::string& flag : option->get_lnames()) {
      const std::string start = "Could not convert: --" + flag + " = ";
      if (said.rfind(start, 0) == 0)
        return "--" + flag + " takes no value, and was given '" + said.substr(start.size()) + "'";
    }
  }
  return said;
}

// What CLI11 does not say: that a sub-command is none, and which there are. Else its own sentence.
std::string Why(const CLI::ParseError& error, const std::string& first, const CLI::App& app) {
  const std::vector<const CLI::App*> all =
      app.get_subcommands([](const CLI::App* /*sub*/) { return true; });
  if (all.empty() || !app.get_subcommands().empty() || first.rfind('-', 0) == 0)
    return FlagSentence(app, error.what());
  std::string names;
  for (const CLI::App* sub : all) names += (names.empty() ? "" : ", ") + sub->get_name();
  const std::string missing = app.get_name() + " needs one of these: ";
  return (first.empty() ? missing
                        : "there is no '" + app.get_name() + " " + first + "'; there are ") +
         names;
}

int RunOne(const Command& command, std::vector<std::string> arguments, Context& context) {
  CLI::App app(command.summary, std::string("brood ") + command.name);
  const Action action = command.declare(app, context);
  if (command.takes_words) context.words = TakeWords(app, arguments);
  const std::string first = arguments.empty() ? "" : arguments.front();
  // CLI11 takes them from the back.
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    std::string help = app.help();
    const size_t options = help.find("[OPTIONS]");
    if (command.takes_words && options != std::string::npos) {
      help.insert(options + 9, " [--] CMD ARG…");
    }
    context.out << help << std::flush;
    return context.out ? kExitOk : kExitFailed;
  } catch (const CLI::ParseError& error) {
    return Complain(command.name, Why(error, first, app), UsageCode(command), context);
  }
  const int code = action();
  context.out << std::flush;
  if (!context.out) {
    context.err << "brood: cannot write to standard output\n" << std::flush;
    return code != kExitOk ? code : command.takes_words ? kExitBroodFailed : kExitFailed;
  }
  return code;
}

}  // namespace

int Dispatch(const std::vector<Command>& commands, std::vector<std::string> arguments,
             Context& context) {
  if (arguments.empty()) {
    PrintHelp(commands, context.err);
    return kExitUsage;
  }
  std::string name = arguments[0];
  arguments.erase(arguments.begin());
  if (name == "help" && !arguments.empty()) {
    name = arguments[0];
    arguments = {"--help"};
  }
  if (name == "--help" || name == "-h" || name == "help") {
    PrintHelp(commands, context.out);
    return context.out.flush() ? kExitOk : kExitFailed;
  }
  if (name == "--version") name = "version";
  for (const Command& command : commands) {
    if (name == command.name) return RunOne(command, std::move(arguments), context);
  }
  return Complain("", "there is no command '" + name + "'", kExitUsage, context);
}

}  // namespace brood::cli
