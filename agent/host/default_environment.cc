// SPDX-License-Identifier: Apache-2.0
#include "agent/host/default_environment.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

namespace brood {

std::vector<std::string> DefaultEnvironment() {
  std::vector<std::string> kept;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
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

bool IsSameProcess(int pid, int64_t start_ns) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // The name in parentheses may hold anything; the start is the 20th field after it.
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return false;
  std::istringstream fields(text.substr(end + 1));
  std::string field;
  for (int i = 0; i < 19; ++i) fields >> field;
  int64_t ticks = 0;
  if (!(fields >> ticks)) return false;
  const int64_t tick_ns = 1'000'000'000 / ::sysconf(_SC_CLK_TCK);
  constexpr int64_t kToleranceNanos = 100'000'000;  // the clock ticks in hundredths
  return std::llabs(ticks * tick_ns - start_ns) <= kToleranceNanos;
}

}  // namespace brood
