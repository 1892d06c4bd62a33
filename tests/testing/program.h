// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"

namespace brood::testing {

// How a program is started.
struct ProgramSetup {
  std::vector<std::string> argv;
  // Set on top of this process's environment; an empty value removes the variable.
  std::map<std::string, std::string> environment;
  std::string directory;         // empty: this process's
  bool out_is_terminal = false;  // else a pipe
  bool err_is_terminal = false;
};

// How it ended, and what it wrote.
struct ProgramEnd {
  int exit_code = -1;  // -1 if a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
};

// One child process with pipes or terminals for its stdio. Nothing waits longer than
// 20 s: what has not happened by then fails the test and kills the child. For one thread.
class Program {
 public:
  explicit Program(const ProgramSetup& setup);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void Write(const std::string& input);
  // Closes our end of its stdout.
  void CloseOutput() { out_.reset(); }
  void Signal(int signal) const;

  // Reads until the stream holds `text`; false if it ended or took too long.
  bool AwaitOut(const std::string& text) { return Await(text, out_text_); }
  bool AwaitErr(const std::string& text) { return Await(text, err_text_); }
  // Closes its input, reads to the end, and takes its status.
  ProgramEnd End();

  int pid() const { return pid_; }

 private:
  bool Await(const std::string& text, const std::string& stream);
  bool ReadSome();

  int pid_ = -1;
  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
  std::string out_text_;
  std::string err_text_;
  int64_t give_up_ = 0;
};

// Starts it, with this input, and waits for its end.
ProgramEnd RunProgram(const ProgramSetup& setup, const std::string& input = "");

}  // namespace brood::testing
