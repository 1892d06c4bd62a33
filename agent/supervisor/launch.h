// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace brood {

// A program to start as a child of this process.
struct Launch {
  std::string program;                   // absolute path
  std::vector<std::string> arguments;    // argv[0] included
  std::vector<std::string> environment;  // all of it
  std::string working_directory;         // empty: this process's
  std::string log_path;                  // stdout and stderr are appended here
  int input = -1;                        // becomes standard input
};

struct Launched {
  pid_t pid = 0;          // 0: it was not started
  int64_t start_ns = 0;   // CLOCK_BOOTTIME just after
  const char* step = "";  // what failed: "log", "chdir", "fork", "exec"
  int error_number = 0;
};

// Starts it in a session of its own with default signals and no other descriptor of
// this process than those named. Returns once it was executed.
Launched LaunchProgram(const Launch& launch);

}  // namespace brood
