// SPDX-License-Identifier: Apache-2.0
#include "controller/client/host_set_file.h"

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "controller/client/host_set.h"

namespace brood {
namespace {

Error Bad(const std::string& path, const std::string& why) {
  return Error{ErrorCode::kInvalidArgument, "BAD_HOST_SET_FILE",
               "file '" + path + "' of hosts: " + why, "hosts"};
}

}  // namespace

Result<std::string> ReadHostSetFile(const std::string& path) {
  if (path.empty()) return Bad(path, "'^' names no file; write ^FILE");
  std::ifstream file(path);
  if (!file) return Bad(path, ErrnoError(errno, "open it").message);
  std::string set;
  for (std::string line; std::getline(file, line);) {
    line.erase(std::min(line.find('#'), line.size()));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    line.erase(0, line.find_first_not_of(" \t"));
    if (line.empty()) continue;
    // In parentheses: what an operator of a line takes is its own line.
    set += (set.empty() ? "(" : ",(") + line + ")";
    if (set.size() > kHostSetTextMax) {
      return Bad(path, "it is longer than " + std::to_string(kHostSetTextMax) +
                           " bytes; name fewer hosts");
    }
  }
  if (file.bad()) return Bad(path, "it cannot be read");
  if (set.empty()) return Bad(path, "it has no host; write one set a line, such as node[1-3]");
  return set;
}

}  // namespace brood
