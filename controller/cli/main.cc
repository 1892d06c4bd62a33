// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "controller/cli/commands.h"
#include "controller/cli/context.h"
#include "controller/cli/dispatch.h"
#include "controller/client/connection.h"

namespace {

// A closed stdin, stdout or stderr would be given to the next file or socket that is
// opened. Each is filled with what fails in the way that a closed one does. gRPC opens
// one before main, so this runs before any library's constructors; by bare system calls,
// as nothing but them is sure to be ready by then.
void FillStandardDescriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::syscall(SYS_fcntl, fd, F_GETFD) < 0 &&
        ::syscall(SYS_openat, AT_FDCWD, "/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0) {
      ::syscall(SYS_exit_group, brood::cli::kExitFailed);
    }
  }
}

[[gnu::used, gnu::section(".preinit_array")]] void (*const fill_standard_descriptors)() =
    FillStandardDescriptors;

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  auto context = brood::cli::ContextOfProcess(::environ);
  if (!context) {
    std::cerr << "brood: " << context.error().message << "\n";
    return argc > 1 && std::string(argv[1]) == "run" ? 125 : brood::cli::kExitUsage;
  }
  brood::QuietTransport();
  const int code = brood::cli::Dispatch(brood::cli::AllCommands(),
                                        std::vector<std::string>(argv + 1, argv + argc), **context);
  std::cout.flush();
  std::cerr.flush();
  // Threads of the transport may still run; nothing that they use may be destroyed.
  std::_Exit(code);
}
