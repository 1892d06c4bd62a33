// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "controller/cli/context.h"
#include "controller/client/resume_core.h"

namespace brood::cli {

// What a command does once its words are read; returns the exit code.
using Action = std::function<int()>;

// One command of `brood`, one file each. main.cc has the table of all.
struct Command {
  const char* name;
  // One line for `brood --help`.
  const char* summary;
  // Declares options (and sub-commands) on `app`, which is the command's own, and
  // returns what to do. Options are kept in a shared struct that the action holds.
  // `context` outlives the action.
  Action (*declare)(CLI::App& app, Context& context);
  // True: options end at the first word that is none; from there on all words are
  // taken as they are, in context.words.
  bool takes_words = false;
};

// Exit codes of brood's own.
// (124 to 127 are in common/job/exit_code.h.)
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // every command but `run` and `wait`
inline constexpr int kExitUsage = 2;   // wrong words; `run` and `wait` say 125

// CLI11's check for an option whose empty value would mean the default: a script's unset
// variable must not run on this machine what was meant for others.
std::string RefuseEmpty(const std::string& word);
// Declares -w/--hosts SET.
void AddHostsOption(CLI::App& app, std::string& set);
// Declares --give-up-after, for commands that follow what happens.
void AddGiveUpOption(CLI::App& app, ResumePolicy& policy);
// For people: "the connection is lost (WHY); trying again for 30 s", and that it is back.
std::string LostSentence(const Error& why, const ResumePolicy& policy);
inline constexpr char kBackSentence[] = "connected again";
// Declares -o/--format with the formats that the command can write, e.g. "table|wide|json".
void AddFormatOption(CLI::App& app, OutputFormat& format, const char* allowed);
// For commands other than `run`, where --output is where a job writes: says so to whoever means the
// format. AddFormatOption does it too.
void RefuseOutputOption(CLI::App& app);

}  // namespace brood::cli
