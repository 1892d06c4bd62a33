// SPDX-License-Identifier: Apache-2.0
//
// The yardsticks in a process of their own: `brood_loops NAME COUNT OUTSTANDING`
// prints one number. A process that links gRPC forks several times slower, and
// would make brood look better than it is.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/bench/baseline.h"

int main(int argc, char** argv) {
  using namespace brood::bench;
  if (argc != 4) {
    std::fprintf(stderr, "usage: brood_loops spawn|fork|thread|latency|sync COUNT OUTSTANDING\n");
    return 2;
  }
  const std::string name = argv[1];
  const int count = std::atoi(argv[2]);
  const int outstanding = std::atoi(argv[3]);
  double value = 0;
  if (name == "spawn") value = SpawnLoop(count, outstanding);
  if (name == "fork") value = ForkLoop(count, outstanding);
  if (name == "thread") value = ThreadLoop(count, outstanding);
  if (name == "latency") value = Percentile(SpawnLatencies(count), 0.5);
  if (name == "sync") {
    // OUTSTANDING is the bytes of a record here.
    const std::vector<double> syncs = SyncLatencies(count, outstanding);
    value = syncs.empty() ? 0 : Percentile(syncs, 0.5);
  }
  std::printf("%.9f\n", value);
  return value > 0 ? 0 : 1;
}
