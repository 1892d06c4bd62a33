// SPDX-License-Identifier: Apache-2.0
//
// brood-parent: a named process whose memory its jobs share, as threads, or
// copy, as forks. Started by the supervisor; talks to the agent; runs users' code.
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "agent/parent/options.h"
#include "agent/parent/parent.h"
#include "common/base/failpoint.h"
#include "common/base/heaps.h"

namespace {

// Jobs' descriptors must lie above the standard ones, which a child replaces.
void FillStandardDescriptors() {
  int fd;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

// False if the supervisor died before it could note that we are here.
bool AwaitGo() {
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::read(STDIN_FILENO, &byte, 1);
  } while (got < 0 && errno == EINTR);
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null >= 0) {
    ::dup2(null, STDIN_FILENO);
    ::close(null);
  }
  return got == 1;
}

}  // namespace

int main(int argc, char** argv) {
  FillStandardDescriptors();
  // Each has pages that every fork copies.
  brood::LimitHeaps();
  const brood::Result<brood::ParentOptions> options = brood::ParseParentOptions(argc, argv);
  if (!options) {
    std::fprintf(stderr, "brood-parent: %s\n", options.error().message.c_str());
    return 2;
  }
  if (options->awaits_go && !AwaitGo()) return 1;
  brood::Failpoint("parent.go");
  const brood::Result<brood::Parent*> parent = brood::Parent::Create(*options);
  if (!parent) {
    std::fprintf(stderr, "brood-parent %s: %s\n", options->name.c_str(),
                 parent.error().message.c_str());
    return 1;
  }
  // The jobs' threads live on; the process ends with the last of them.
  if ((*parent)->Run() == brood::ParentEnd::kThreadExit) pthread_exit(nullptr);
  return 0;
}
