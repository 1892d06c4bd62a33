// SPDX-License-Identifier: Apache-2.0
//
// brood-parent: a named process whose memory its jobs share, as threads, or
// copy, as forks. Started by the supervisor; talks to the agent; runs users' code.
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdio>

#include "agent/parent/options.h"
#include "agent/parent/parent.h"

namespace {

// Jobs' descriptors must lie above the standard ones, which a child replaces.
void FillStandardDescriptors() {
  int fd;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

// As many heaps as threads can run at once: by default it would be eight times that, and each
// has pages that every fork copies.
void LimitHeaps() {
  const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (processors > 0) ::mallopt(M_ARENA_MAX, static_cast<int>(processors));
}

}  // namespace

int main(int argc, char** argv) {
  FillStandardDescriptors();
  LimitHeaps();
  const brood::Result<brood::ParentOptions> options = brood::ParseParentOptions(argc, argv);
  if (!options) {
    std::fprintf(stderr, "brood-parent: %s\n", options.error().message.c_str());
    return 2;
  }
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
