// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/paths.h"
#include "controller/client/host_address.h"

namespace brood::cli {

// -o FORMAT.
enum class OutputFormat { kText, kTable, kWide, kJson, kJsonLines, kName };

// What a command sees of the world; main.cc makes it from the process, a test as
// it likes. For one thread.
struct Context {
  Context(std::ostream& data, std::ostream& rest) : out(data), err(rest) {}

  // Data; everything else.
  std::ostream& out;
  std::ostream& err;
  // The same, and standard input, as descriptors: for bytes and for waiting.
  int in_fd = 0;
  int out_fd = 1;
  int err_fd = 2;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  // Terminal, NO_COLOR not set, TERM not "dumb".
  bool out_color = false;
  bool err_color = false;
  // NAME=VALUE, as the process got it.
  std::vector<std::string> environment;
  Paths paths;
  // For a command that takes words: CMD ARG…
  std::vector<std::string> words;
  // Where brood-agent and the others are.
  std::string program_directory;

  // A variable's value; empty if it is not set.
  std::string Variable(const std::string& name) const;

  // The hosts of a set; the local agent, started if need be, for an empty one.
  Result<std::vector<HostAddress>> Hosts(const std::string& set) const;
  // The same, but an agent that does not run is not started, unless it has died: UNAVAILABLE,
  // reason AGENT_STOPPED or NO_LOCAL_AGENT, with what to do.
  Result<std::vector<HostAddress>> RunningHosts(const std::string& set) const;
  // For HostAddress::bring_back of the local agent: starts it again where it has died, which
  // `it_ran` makes sure of; an error where it was stopped.
  std::function<Status()> BringBack(bool it_ran) const;

  // Prints "brood: MESSAGE\n" to `err` and returns `exit_code`.
  int Fail(const Error& error, int exit_code) const;
  // The same, for one host of several: "brood: HOST: MESSAGE\n".
  void Complain(const std::string& host, const Error& error) const;
  void Note(const std::string& host, const std::string& sentence) const;
};

// The context of this process. INVALID_ARGUMENT for a relative folder in the environment.
Result<std::unique_ptr<Context>> ContextOfProcess(char** environment);

}  // namespace brood::cli
