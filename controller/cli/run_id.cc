// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/run_id.h"

#include <sys/random.h>

#include <cstdlib>

namespace brood::cli {

std::string NewRunId() {
  static constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  unsigned char random[12];
  // Never short below 256 bytes; fails only on kernels before 3.17.
  if (::getrandom(random, sizeof(random), 0) != static_cast<ssize_t>(sizeof(random))) std::abort();
  std::string id;
  for (const unsigned char byte : random) id += kAlphabet[byte & 31];
  return id;
}

}  // namespace brood::cli
