// SPDX-License-Identifier: Apache-2.0
#include "agent/host/default_environment.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace brood {

std::vector<std::string> DefaultEnvironment() {
  std::vector<std::string> kept;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
#ifdef BROOD_LIES
    if (text.rfind("BROOD_LIE=", 0) == 0) kept.emplace_back(text);
#endif
#ifdef BROOD_FAILPOINTS
    for (const char* const name : {"BROOD_FAILPOINTS=", "BROOD_PLANTED_BUG="}) {
      if (text.rfind(name, 0) == 0) kept.emplace_back(text);
    }
#endif
    if (text.rfind("BROOD_", 0) == 0 || text.rfind("LD_", 0) == 0) continue;
    kept.emplace_back(text);
  }
  return kept;
}

std::string DefaultWorkingDirectory() {
  const char* const home = std::getenv("HOME");
  struct stat entry {};
  const bool usable =
      home != nullptr && *home == '/' && ::stat(home, &entry) == 0 && S_ISDIR(entry.st_mode);
  return usable ? home : "/";
}

}  // namespace brood
